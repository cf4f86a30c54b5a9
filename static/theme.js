// Loaded before anything is painted: the page never flashes in the wrong colours.
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");

  function chosen() {
    try {
      return localStorage.getItem("theme") || "auto";
    } catch {
      return "auto"; // storage may be forbidden; the system's choice is a good one
    }
  }

  function apply() {
    const theme = chosen();
    const dark = theme === "dark" || (theme === "auto" && system.matches);
    document.documentElement.dataset.bsTheme = dark ? "dark" : "light";
  }

  window.theme = {
    chosen,
    choose(value) {
      try {
        localStorage.setItem("theme", value);
      } finally {
        apply();
      }
    },
  };
  system.addEventListener("change", apply);
  apply();
})();
