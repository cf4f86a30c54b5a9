// What HTML and HTMX do not do by themselves. The pages' side of the agreement:
//   data-pick-all on a box    chooses, or not, all rows of its table
//   data-row-nav on a table   ↑ ↓ Home End move between the rows' first links; a click on a row opens its link
//   data-testid="search"      / focuses it; ↓ in it goes to the first row
//   data-menu on <details>    closes on Escape and on a click elsewhere, or on a data-choice in it
//   data-close="id"           takes that element away; focus goes to data-back-to="id"
//   data-open-dialog="id"     opens that <dialog>
//   data-focus                has the focus when the page opens; a field in error has it rather
//   data-refocus              has the focus after a swap that took away what had it; a field in error has it rather
//   data-corrects="id"        what is written in it corrects the error of that field, too
//   data-copy="id" on a button copies the value of that field; its data-copy-said says so
//   data-busy on a button     spins while its form or its HTMX request is on its way (submit buttons do anyway)
(() => {
  const TOAST_LIFE = { success: 6000, info: 6000, warning: 12000 }; // milliseconds; errors stay until closed
  const INTERACTIVE = "a, button, input, select, textarea, label, summary, dialog";

  // --- every write under HTMX carries the token; a server out of reach is said, and nothing is lost ---
  document.addEventListener("htmx:config:request", (event) => {
    const token = document.querySelector('meta[name="csrf-token"]');
    if (token) event.detail.ctx.request.headers["X-CSRFToken"] = token.content;
  });

  document.addEventListener("htmx:error", (event) => {
    const ctx = event.detail.ctx;
    if (!ctx || ctx.response || event.detail.error?.name === "AbortError") return;
    const said = document.getElementById("toast-unreachable").content.cloneNode(true);
    said.firstElementChild.dataset.unreachable = "";
    const region = document.getElementById("toasts");
    if (ctx.target?.closest?.("dialog")) ctx.target.replaceChildren(said); // toasts are out of reach behind it
    else if (!region.querySelector("[data-unreachable]")) region.append(said);
  });

  // --- a swap may take away what had the focus: the keyboard goes on in what came instead, not at the top ---
  const swappedUnderFocus = new WeakMap(); // by request: the part, and what stands before and around it

  document.addEventListener("htmx:before:swap", ({ detail: { ctx } }) => {
    const part = ctx.target;
    if (!part?.contains?.(document.activeElement)) return;
    swappedUnderFocus.set(ctx, { part, before: part.previousElementSibling, around: part.parentElement });
  });

  document.addEventListener("htmx:after:swap", ({ detail: { ctx } }) => {
    if (!swappedUnderFocus.has(ctx) || document.activeElement !== document.body) return;
    const { part, before, around } = swappedUnderFocus.get(ctx);
    const instead = before ? before.nextElementSibling : around.firstElementChild;
    const place = part.isConnected ? part : instead ?? around;
    const next = place.querySelector("[aria-invalid=true]") ?? place.querySelector("[data-refocus]") ?? place;
    if (next === place) place.tabIndex = -1;
    next.focus({ preventScroll: next === place });
  });

  // --- toasts ---
  function letFade(toast) {
    const life = TOAST_LIFE[toast.dataset.kind];
    if (!life) return;
    let timer;
    const start = () => (timer = setTimeout(() => toast.remove(), life));
    const stop = () => clearTimeout(timer);
    toast.addEventListener("pointerenter", stop);
    toast.addEventListener("focusin", stop);
    toast.addEventListener("pointerleave", start);
    toast.addEventListener("focusout", start);
    start();
  }

  // What is said again (every second, while a server is down) stands there once.
  function dropTwins(region, toast) {
    for (const other of region.querySelectorAll('[data-testid="toast"]')) {
      if (other !== toast && other.textContent === toast.textContent) other.remove();
    }
  }

  function watchToasts() {
    const region = document.getElementById("toasts");
    if (!region) return;
    region.querySelectorAll('[data-testid="toast"]').forEach(letFade);
    new MutationObserver((changes) => {
      for (const change of changes) {
        for (const node of change.addedNodes) {
          if (node.dataset?.testid !== "toast") continue;
          dropTwins(region, node);
          letFade(node);
        }
      }
    }).observe(region, { childList: true });
  }

  // --- tables by keyboard and by a click anywhere in the row ---
  const rowLinks = (table) => [...table.querySelectorAll("tbody tr")].map((row) => row.querySelector("a[href]")).filter(Boolean);

  function moveInTable(event, table) {
    const links = rowLinks(table);
    const here = links.indexOf(event.target.closest("tr")?.querySelector("a[href]"));
    const next = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: links.length - 1 }[event.key];
    if (next === undefined || !links.length) return;
    event.preventDefault();
    if (next < 0) document.querySelector('[data-testid="search"]')?.focus();
    else links[Math.min(next, links.length - 1)].focus();
  }

  function openRow(event) {
    const row = event.target.closest("[data-row-nav] tbody tr");
    if (!row || event.target.closest(INTERACTIVE) || getSelection().toString()) return;
    if (event.target.matches(".list-pick")) return event.target.querySelector("input").click(); // beside the box is the box
    const link = row.querySelector("a[href]");
    if (!link) return;
    if (event.ctrlKey || event.metaKey || event.button === 1) window.open(link.href, "_blank", "noopener");
    else link.click();
  }

  const isTyping = (element) => element.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(element.tagName);

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const table = event.target.closest?.("[data-row-nav]");
    const search = document.querySelector('[data-testid="search"]');
    if (event.key === "Escape") {
      closeMenus(null);
      document.documentElement.dataset.noHints = "";
    } else if (table && !isTyping(event.target)) moveInTable(event, table);
    else if (event.key === "ArrowDown" && event.target === search) {
      event.preventDefault();
      const list = document.querySelector("[data-row-nav]");
      if (list) rowLinks(list)[0]?.focus();
    }
    if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
    if (event.key === "/" && search) {
      event.preventDefault();
      search.focus();
      search.select();
    } else if (event.key === "?") document.getElementById("clavier")?.showModal();
  });

  // --- Escape puts hints away until the pointer or the focus moves on ---
  for (const move of ["pointerover", "focusin"]) {
    document.addEventListener(move, () => delete document.documentElement.dataset.noHints);
  }

  // --- the box that chooses all rows of a table; without script there is none ---
  const showPickAll = () => document.querySelectorAll("[data-pick-all]").forEach((box) => (box.hidden = false));
  document.addEventListener("htmx:after:swap", showPickAll);
  document.addEventListener("DOMContentLoaded", showPickAll);
  showPickAll();
  document.addEventListener("change", ({ target }) => {
    if (!target.matches?.("[data-pick-all]")) return;
    for (const box of target.closest("table").querySelectorAll('tbody input[type="checkbox"]')) box.checked = target.checked;
  });

  // --- menus, dialogs, theme, dismissals ---
  function closeMenus(except) {
    for (const menu of document.querySelectorAll("details[data-menu][open]")) {
      if (menu === except) continue;
      const hadFocus = menu.contains(document.activeElement);
      menu.open = false;
      if (hadFocus) menu.querySelector("summary").focus();
    }
  }

  function showTheme() {
    for (const button of document.querySelectorAll("[data-theme-value]")) {
      button.setAttribute("aria-pressed", String(button.dataset.themeValue === window.theme.chosen()));
    }
  }

  document.addEventListener("click", (event) => {
    closeMenus(event.target.closest("[data-choice]") ? null : event.target.closest("details[data-menu]"));
    const button = event.target.closest("button");
    if (button?.dataset.dismiss === "toast") button.closest('[data-testid="toast"]').remove();
    else if (button?.dataset.close) {
      document.getElementById(button.dataset.close).remove();
      document.getElementById(button.dataset.backTo)?.focus();
    } else if (button?.dataset.openDialog) {
      closeMenus(null);
      document.getElementById(button.dataset.openDialog).showModal();
    } else if (button?.dataset.themeValue) {
      window.theme.choose(button.dataset.themeValue);
      showTheme();
    } else openRow(event);
  });
  document.addEventListener("auxclick", (event) => event.button === 1 && openRow(event));

  // --- an error stands until the person corrects it: the next sending, or check, says what is still wrong ---
  function dropError(field) {
    if (field?.getAttribute("aria-invalid") !== "true") return;
    const ids = (field.getAttribute("aria-describedby") ?? "").split(" ");
    const [errors, others] = [true, false].map((isError) => ids.filter((id) => id && /(-error|problem)/.test(id) === isError));
    for (const id of errors) document.getElementById(id)?.remove();
    field.classList.remove("is-invalid");
    field.removeAttribute("aria-invalid");
    if (others.length) field.setAttribute("aria-describedby", others.join(" "));
    else field.removeAttribute("aria-describedby");
  }
  document.addEventListener("input", ({ target }) => {
    dropError(target);
    if (target.dataset.corrects) dropError(document.getElementById(target.dataset.corrects));
  });

  // --- a form that was sent is not sent twice; coming back to the page frees it again ---
  document.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (!button || event.target.method === "dialog" || event.defaultPrevented) return;
    button.setAttribute("aria-busy", "true");
    setTimeout(() => (button.disabled = true)); // after the browser has read the button's own value
  });
  addEventListener("pageshow", () => {
    for (const button of document.querySelectorAll("button[aria-busy]")) {
      button.removeAttribute("aria-busy");
      button.disabled = false;
    }
  });

  // --- what was typed when the session had ended is put back into its form, and never sent by itself ---
  const pathOf = (address) => address && new URL(address, location.href).pathname;

  function formOf({ action, fields }) {
    const score = (form) => fields.filter(([name]) => form.elements.namedItem(name)).length;
    const leadsThere = (form) =>
      [form.getAttribute("action") ?? location.pathname, form.getAttribute("hx-post")].some((each) => pathOf(each) === action);
    return [...document.forms].filter(leadsThere).sort((one, other) => score(other) - score(one))[0];
  }

  const controlsOf = (form, name) => [...form.elements].filter((each) => each.name === name && !/^(submit|button|file)$/.test(each.type));

  // Lines that the person had added: as many as were typed, made after the last one.
  function addLines(form, name, wanted) {
    for (let line; controlsOf(form, name).length < wanted; line.after(line.cloneNode(true))) {
      line = controlsOf(form, name).at(-1)?.closest("fieldset.line-fields");
      if (!line) return;
    }
  }

  function putBack(form, fields) {
    const values = Map.groupBy ? Map.groupBy(fields, ([name]) => name) : new Map(fields.map(([name]) => [name, fields.filter((each) => each[0] === name)]));
    for (const box of form.querySelectorAll("input[type=checkbox]")) box.checked = false;
    for (const [name, pairs] of values) {
      addLines(form, name, pairs.length);
      controlsOf(form, name).forEach((control, place) => {
        if (/^(checkbox|radio)$/.test(control.type)) control.checked = pairs.some(([, value]) => value === control.value);
        else if (pairs[place]) control.value = pairs[place][1];
      });
    }
  }

  async function giveBack(notice) {
    const said = notice.querySelector("[data-kept-form-said]");
    const answer = await fetch(notice.dataset.keptForm, { headers: { Accept: "application/json" } });
    const kept = answer.ok ? await answer.json() : null;
    const form = kept && formOf(kept);
    said.textContent = form
      ? "Ce que vous aviez saisi est de nouveau dans le formulaire\u202f: vérifiez-le, puis envoyez-le."
      : "Ce que vous aviez saisi n’a pas pu être remis\u202f: saisissez-le de nouveau.";
    if (form) putBack(form, kept.fields);
    form?.querySelector("input:not([type=hidden]), textarea, select")?.focus();
  }

  const keptForm = document.getElementById("kept-form");
  if (keptForm) giveBack(keptForm);

  // --- copying: a button that only works with script is only there with it ---
  function showCopies(root) {
    if (navigator.clipboard) for (const button of root.querySelectorAll("[data-copy][hidden]")) button.hidden = false;
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const field = document.getElementById(button.dataset.copy);
    const said = button.querySelector("[data-copy-said]");
    try {
      await navigator.clipboard.writeText(field.value);
      said.textContent = "Copié";
    } catch {
      field.select();
      said.textContent = "Sélectionné\u202f: Ctrl C";
    }
  });

  document.addEventListener("htmx:after:swap", () => showCopies(document));

  // --- files: one that is larger than what is taken is refused before it is sent ---
  document.addEventListener("change", ({ target }) => {
    if (!target.dataset.largest) return;
    const isTooLarge = [...target.files].some((file) => file.size > Number(target.dataset.largest));
    target.setCustomValidity(isTooLarge ? target.dataset.tooLarge : "");
    if (isTooLarge) target.reportValidity();
  });

  // Scripts are deferred: the page is there.
  showCopies(document);
  watchToasts();
  showTheme();
  (document.querySelector("[aria-invalid=true]") ?? document.querySelector("[data-focus]"))?.focus();
})();
