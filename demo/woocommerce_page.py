"""The pretend shop's own pages: what happened, buttons that make more happen, and the settings that a CRM asks for."""

from typing import Final

from flask import Flask, Response, redirect, render_template_string, request

from demo.sms_gateway import in_paris
from demo.woocommerce_bodies import encode
from demo.woocommerce_hooks import TOPICS, Courier
from demo.woocommerce_rest import Manners
from demo.woocommerce_world import BadActError, World

SHOWN: Final = 60
PAGE: Final = """<!doctype html>
<html lang="fr">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Boutique fictive</title>
  <style>
    :root { color-scheme: light dark; }
    body { font: 1rem/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
    div { overflow-x: auto; }
    table { border-collapse: collapse; width: 100%; }
    th, td { border-bottom: 1px solid #888; padding: .4rem .6rem; text-align: left; vertical-align: top; }
    form.act { display: inline-block; margin: 0 .5rem .5rem 0; }
    button, input { font: inherit; padding: .4rem .8rem; }
    label { display: block; margin-bottom: .5rem; }
    label input { display: block; width: 100%; max-width: 40rem; box-sizing: border-box; }
    code { overflow-wrap: anywhere; }
  </style>
</head>
<body>
  <h1>Boutique fictive</h1>
  <p>Personne n’y achète rien. WooCommerce 11, abonnements compris. REST\u202f: {{ manners.mode }},
    notifications\u202f: {{ courier.way }}.</p>
  {% if said %}<p role="status"><strong>{{ said }}</strong></p>{% endif %}
  <p>
    {% for act, words in acts.items() %}
    <form class="act" method="post" action="/actes/{{ act }}"><button>{{ words }}</button></form>
    {% endfor %}
  </p>

  <h2>Commandes</h2>
  {% if orders %}
  <div>
  <table>
    <thead>
      <tr>
        <th scope="col">N°</th><th scope="col">Date</th><th scope="col">Acheteur</th><th scope="col">Articles</th>
        <th scope="col">État</th><th scope="col">Total</th><th scope="col">Payée</th>
      </tr>
    </thead>
    <tbody>
      {% for order in orders %}
      <tr>
        <td><a href="/wp-admin/post.php?post={{ order.id }}&amp;action=edit">{{ order.id }}</a></td>
        <td>{{ in_paris(order.date_created_gmt + "Z") }}</td>
        <td>{{ order.billing.first_name }} {{ order.billing.last_name }}</td>
        <td>{% for line in order.line_items %}{{ line.name | safe }}{{ ", " if not loop.last }}{% endfor %}</td>
        <td>{{ order.status }}</td>
        <td>{{ order.total | replace(".", ",") }}\u00a0€</td>
        <td>{{ in_paris(order.date_paid_gmt + "Z") if order.date_paid_gmt else "–" }}</td>
      </tr>
      {% endfor %}
    </tbody>
  </table>
  </div>
  {% else %}<p>Aucune pour l’instant.</p>{% endif %}

  <h2>Réglages</h2>
  <h3>Clé REST</h3>
  <p>Clé client\u202f: <code id="consumer-key">{{ manners.key }}</code><br>
    Secret client\u202f: <code id="consumer-secret">{{ manners.secret }}</code></p>
  <h3>Webhooks</h3>
  {% if courier.hooks %}
  <div>
  <table>
    <thead>
      <tr>
        <th scope="col">N°</th><th scope="col">Sujet</th><th scope="col">Adresse</th><th scope="col">État</th>
        <th scope="col"><span>Actions</span></th>
      </tr>
    </thead>
    <tbody>
      {% for hook in courier.hooks.values() %}
      <tr>
        <td>{{ hook.id }}</td><td>{{ hook.topic }}</td><td><code>{{ hook.delivery_url }}</code></td>
        <td>{{ hook.status }}</td>
        <td>
          <form class="act" method="post" action="/reglages/webhooks/{{ hook.id }}">
            {% if hook.status == "active" %}
            <button name="status" value="paused" aria-label="Mettre en pause {{ hook.topic }}">Mettre en pause</button>
            {% else %}
            <button name="status" value="active" aria-label="Réactiver {{ hook.topic }}">Réactiver</button>
            {% endif %}
          </form>
        </td>
      </tr>
      {% endfor %}
    </tbody>
  </table>
  </div>
  {% endif %}
  <h4>Ajouter les dix webhooks</h4>
  <form method="post" action="/reglages/webhooks">
    <label>URL de livraison <input type="url" name="delivery_url" required></label>
    <label>Secret <input name="secret" required autocomplete="off"></label>
    <button>Enregistrer les webhooks</button>
  </form>
</body>
</html>
"""
ACTS: Final = {
    "subscribe": "Une commande arrive",
    "renew": "Un renouvellement",
    "refund": "Un remboursement",
    "buy": "Un achat sans abonnement",
    "fail": "Un renouvellement échoue",
}
SAID: Final = {
    "subscribe": "Une commande est arrivée, avec un abonnement.",
    "renew": "Un abonnement est renouvelé.",
    "refund": "Une commande est remboursée.",
    "buy": "Une commande est arrivée, sans abonnement.",
    "fail": "Un renouvellement a échoué.",
    "hooks": "Les dix webhooks sont enregistrés.",
    "nothing": "Rien à faire\u202f: la boutique n’a rien de tel.",
}


def add_pages(app: Flask, world: World, courier: Courier, manners: Manners) -> None:
    """What a person may do in the shop."""
    _add_shop(app, world, courier, manners)
    _add_settings(app, courier)
    _add_administration(app, world)


def _add_shop(app: Flask, world: World, courier: Courier, manners: Manners) -> None:
    @app.get("/")
    def show() -> str:
        with world.lock:
            orders = sorted(world.bodies["orders"].values(), key=lambda order: -order["id"])[:SHOWN]
            return render_template_string(
                PAGE,
                courier=courier,
                manners=manners,
                orders=orders,
                in_paris=in_paris,
                acts=ACTS,
                said=SAID.get(request.args.get("fait", "")),
            )

    @app.post("/actes/<any(subscribe, renew, refund, buy, fail):act>")
    def act(act: str) -> Response:
        try:
            if act == "fail":
                world.renew(outcome="failed")
            else:
                getattr(world, act)()
        except BadActError:
            return _back("nothing")
        return _back(act)


def _add_settings(app: Flask, courier: Courier) -> None:
    @app.post("/reglages/webhooks")
    def add_ten_hooks() -> Response:
        for topic in TOPICS:
            courier.add(topic, request.form["delivery_url"], request.form["secret"])
        return _back("hooks")

    @app.post("/reglages/webhooks/<int:hook_id>")
    def switch_hook(hook_id: int) -> Response:
        courier.set_status(hook_id, request.form["status"])
        return _back("")


def _add_administration(app: Flask, world: World) -> None:
    @app.get("/wp-admin/<path:_page>")
    def show_in_admin(_page: str) -> tuple[Response, int] | Response:
        """Where links into the shop's administration lead: the resource, as it is; for settings, the shop's page."""
        if "page" in request.args and "id" not in request.args:
            return redirect("/")  # type: ignore[return-value]
        wanted = request.args.get("post") or request.args.get("id") or request.args.get("user_id") or ""
        collections = ("customers",) if "user_id" in request.args else ("orders", "subscriptions", "products")
        for collection in collections:
            if wanted.isdigit() and (body := world.body(collection, int(wanted))):
                return Response(encode(body), content_type="application/json")
        return Response("Introuvable.", content_type="text/plain; charset=utf-8"), 404


def _back(said: str) -> Response:
    return redirect(f"/?fait={said}", 303)  # type: ignore[return-value]
