// Draws every <canvas data-chart>, whose attribute holds JSON: shape (columns | bars), unit (EUR | contrats), labels
// and values. The same figures stand in the table beside each, so that a chart is never the only way to them.
(() => {
  const LONGEST = 10; // bars; the table has all of them
  const whole = new Intl.NumberFormat("fr-FR", { maximumFractionDigits: 0 });
  const compact = new Intl.NumberFormat("fr-FR", { notation: "compact", maximumFractionDigits: 1 });
  const money = (currency) => new Intl.NumberFormat("fr-FR", { style: "currency", currency });
  const isStill = matchMedia("(prefers-reduced-motion: reduce)").matches;

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function shorten({ labels, values }) {
    if (labels.length <= LONGEST) return { labels, values };
    const rest = values.slice(LONGEST - 1).reduce((sum, value) => sum + value, 0);
    return { labels: [...labels.slice(0, LONGEST - 1), "Autres"], values: [...values.slice(0, LONGEST - 1), rest] };
  }

  function configuration(data) {
    const isBars = data.shape === "bars";
    const { labels, values } = isBars ? shorten(data) : data;
    const write = data.unit === "contrats" ? (value) => `${whole.format(value)} contrat${value < 2 ? "" : "s"}` : (value) => money(data.unit).format(value);
    const grid = { color: colour("--tblr-border-color") };
    const ticks = { color: colour("--tblr-secondary"), font: { family: "Inter Variable", size: 11 } };
    const name = { grid: { display: false }, ticks: { ...ticks, autoSkip: !isBars } };
    const size = { beginAtZero: true, grid, border: { display: false }, ticks: { ...ticks, precision: 0, maxTicksLimit: 5, callback: (value) => compact.format(value) } };
    return {
      type: "bar",
      data: { labels, datasets: [{ data: values, backgroundColor: colour("--tblr-primary"), borderRadius: 3, maxBarThickness: 24 }] },
      options: {
        indexAxis: isBars ? "y" : "x",
        animation: isStill ? false : { duration: 250 },
        maintainAspectRatio: false,
        plugins: { legend: { display: false }, tooltip: { displayColors: false, callbacks: { label: (item) => write(item.raw) } } },
        scales: isBars ? { x: size, y: name } : { x: name, y: size },
      },
    };
  }

  function drawAll() {
    for (const canvas of document.querySelectorAll("canvas[data-chart]")) {
      const data = JSON.parse(canvas.dataset.chart);
      Chart.getChart(canvas)?.destroy();
      if (data.shape === "bars") canvas.parentElement.style.height = `${Math.min(data.labels.length, LONGEST) * 22 + 40}px`;
      new Chart(canvas, configuration(data));
    }
  }

  drawAll();
  new MutationObserver(drawAll).observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });
})();
