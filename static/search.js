// Search everywhere: Ctrl-K (or ⌘K) opens the dialog; ↑ ↓ move through the options, Enter opens one.
// The pattern is the ARIA combobox with a list: focus stays in the field, aria-activedescendant tells the option.
(() => {
  const dialog = document.getElementById("recherche");
  if (!dialog) return;
  const field = dialog.querySelector("[role=combobox]");
  const options = () => [...dialog.querySelectorAll("[role=option]")];
  let active = -1;

  // Which option Enter opens, going round at the ends; none where ``index`` is null.
  function mark(index) {
    const all = options();
    active = all.length && index !== null ? (index + all.length) % all.length : -1;
    all.forEach((option, place) => option.setAttribute("aria-selected", String(place === active)));
    field.setAttribute("aria-expanded", String(all.length > 0));
    if (active < 0) field.removeAttribute("aria-activedescendant");
    else {
      field.setAttribute("aria-activedescendant", all[active].id);
      all[active].scrollIntoView({ block: "nearest" });
    }
  }

  function open() {
    if (dialog.open || document.querySelector("dialog[open]")) return;
    dialog.showModal();
    field.select();
    if (!options().length) field.dispatchEvent(new Event("input", { bubbles: true }));
  }

  document.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey || event.key.toLowerCase() !== "k") return;
    event.preventDefault();
    open();
  });

  document.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close(); // the backdrop
    const link = event.target.closest("[data-open-search]");
    if (!link || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    open();
  });

  field.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      mark(event.key === "ArrowDown" ? active + 1 : Math.max(active, 0) - 1);
    } else if (event.key === "Enter" && active >= 0) {
      event.preventDefault();
      const { href } = options()[active];
      if (event.ctrlKey || event.metaKey) window.open(href, "_blank", "noopener");
      else location.assign(href);
    }
  });

  // What stands there answers what was typed before: until the answer comes, Enter leads to the page of results.
  field.addEventListener("input", () => mark(null));

  // What was typed leads to its best match; what is recent, or answers what stood there before, is only proposed.
  const results = document.getElementById("recherche-resultats");
  new MutationObserver(() => {
    const typed = field.value.trim().replace(/\s+/g, " ");
    mark(typed && results.querySelector("[role=listbox]")?.dataset.typed === typed ? 0 : null);
  }).observe(results, { childList: true });
})();
