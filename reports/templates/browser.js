// The picture browser: filters, order, lightbox and address of a page that reads well without it.
// It reads the page's own rows (data-tags, data-scores) and asks nobody for anything.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const make = (tag, attributes = {}, text = "") => {
    const node = Object.assign(document.createElement(tag), attributes);
    if (text) node.textContent = text;
    return node;
  };

  // ---- rows as data
  const rows = [...document.querySelectorAll("#pictures .row")].map((node, place) => ({
    node, place,
    text: node.querySelector(".asked").textContent.toLowerCase(),
    tags: JSON.parse(node.dataset.tags),
    tiles: [...node.querySelectorAll(".tile")].map((tile) => ({
      node: tile,
      picture: tile.querySelector("a.picture"),
      scores: JSON.parse(tile.dataset.scores || "{}"),
    })),
  }));
  const browser = $("browser");
  if (!browser || rows.length === 0) return;
  const arms = JSON.parse(browser.dataset.arms);
  const probes = JSON.parse(browser.dataset.probes);

  // ---- state: the controls are the state, the address repeats it
  const fields = ["q", "tag", "probe", "a", "av", "b", "bv", "sort"];
  const control = Object.fromEntries(fields.map((name) => [name, $("browse-" + name)]));
  const initial = Object.fromEntries(fields.map((name) => [name, control[name].value]));

  const verdict = (tile, probe) => {
    const names = probe ? [probe] : probes;
    const asked = names.filter((name) => name in tile.scores);
    if (asked.length === 0) return "";
    if (asked.some((name) => tile.scores[name] === 0)) return "wrong";
    return asked.some((name) => tile.scores[name] === null) ? "unjudged" : "right";
  };
  const fits = (row) => {
    const { q, tag, probe, a, av, b, bv } = control;
    const is = (arm, wanted) => !wanted || verdict(row.tiles[arm], probe.value) === wanted;
    return row.text.includes(q.value.trim().toLowerCase())
      && (!tag.value || row.tags.includes(tag.value))
      && (!probe.value || row.tiles.some((tile) => probe.value in tile.scores))
      && is(Number(a.value), av.value) && is(Number(b.value), bv.value);
  };
  const gap = (row) => {
    const [first, second] = [control.a, control.b].map((c) => row.tiles[Number(c.value)].scores[control.sort.value]);
    return typeof first === "number" && typeof second === "number" ? first - second : -Infinity;
  };
  const ordered = (some) => control.sort.value
    ? [...some].sort((x, y) => gap(y) - gap(x) || x.place - y.place)
    : [...some].sort((x, y) => x.place - y.place);

  let shown = rows;
  const apply = () => {
    const changed = fields.filter((name) => control[name].value !== initial[name]);
    shown = [];
    for (const group of document.querySelectorAll("#pictures .rows")) {
      const own = ordered(rows.filter((row) => group.contains(row.node)));
      const more = group.querySelector("details.more");
      const folded = more ? more.querySelectorAll(".row").length : 0;
      own.forEach((row, i) => {
        const into = more && i >= own.length - folded ? more : group;
        into === more ? more.append(row.node) : group.insertBefore(row.node, more);
        row.node.hidden = !fits(row);
      });
      const visible = own.filter((row) => !row.node.hidden);
      if (more && changed.length) more.open = true;
      if (more) more.hidden = ![...more.querySelectorAll(".row")].some((node) => !node.hidden);
      group.hidden = group.previousElementSibling.hidden = visible.length === 0;
      shown.push(...visible);
    }
    $("browse-count").textContent = `${shown.length} of ${rows.length} rows`;
    $("browse-none").hidden = shown.length > 0;
    const query = new URLSearchParams(changed.map((name) => [name, control[name].value]));
    const hash = changed.length ? "#browse&" + query : location.hash.startsWith("#browse") ? "#pictures" : location.hash;
    if (hash !== location.hash) history.replaceState(null, "", hash);
  };
  const restore = () => {
    if (!location.hash.startsWith("#browse")) return;
    const query = new URLSearchParams(location.hash.slice("#browse".length));
    for (const name of fields) {
      control[name].value = query.get(name) ?? initial[name];
      if (control[name].selectedIndex === -1) control[name].value = initial[name];  // an option of another run
    }
    apply();
    $("pictures").scrollIntoView();
  };
  const reset = () => {
    for (const name of fields) control[name].value = initial[name];
    apply();
    control.q.focus();
  };

  // ---- lightbox: left and right change the arm, up and down the row
  const box = $("lightbox");
  let at = { row: rows[0], arm: 0 };
  const versus = $("box-versus"), slider = $("box-slider"), overlay = $("box-difference");
  const image = (arm) => at.row.tiles[arm].picture?.querySelector("img");
  const paint = () => {
    const against = versus.value === "" || Number(versus.value) === at.arm ? null : Number(versus.value);
    const below = image(at.arm), above = against === null ? null : image(against);
    $("box-below").src = below ? below.src : "";
    $("box-below").alt = below ? below.alt : "no picture";
    $("box-above").hidden = !above;
    if (above) Object.assign($("box-above"), { src: above.src, alt: above.alt });
    $("box-above").style.clipPath = overlay.checked ? "" : `inset(0 0 0 ${slider.value}%)`;
    $("box-above").style.mixBlendMode = overlay.checked ? "difference" : "";
    $("box-stage").style.setProperty("--at", above && !overlay.checked ? `${slider.value}%` : "-1%");
    slider.disabled = overlay.checked || !above;
    overlay.disabled = !above;
    $("box-arm").textContent = arms[at.arm] + (above ? ` | ${arms[against]}` : "");
    $("box-prompt").textContent = at.row.node.querySelector(".asked bdi").textContent;
    $("box-place").textContent = `row ${shown.indexOf(at.row) + 1} of ${shown.length}, arm ${at.arm + 1} of ${arms.length}`;
    const said = at.row.tiles[at.arm].node.querySelector(".verdicts");
    $("box-verdicts").replaceChildren(...(said ? [said.cloneNode(true)] : []));
    $("box-original").href = at.row.tiles[at.arm].picture?.getAttribute("href") ?? "";
  };
  const move = (arms_on, rows_on) => {
    const place = shown.indexOf(at.row) + rows_on;
    at = {
      row: shown[(place + shown.length) % shown.length],
      arm: (at.arm + arms_on + arms.length) % arms.length,
    };
    paint();
  };
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  box.addEventListener("keydown", (event) => {
    const inControl = event.target === slider || event.target === versus;
    if (event.key in steps && !inControl) { event.preventDefault(); move(...steps[event.key]); }
  });
  for (const [id, step] of [["box-left", [-1, 0]], ["box-right", [1, 0]], ["box-up", [0, -1]], ["box-down", [0, 1]]]) {
    $(id).addEventListener("click", () => move(...step));
  }
  for (const node of [versus, slider, overlay]) node.addEventListener("input", paint);
  $("box-close").addEventListener("click", () => box.close());
  for (const row of rows) row.tiles.forEach((tile, arm) => tile.picture?.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || !tile.picture.querySelector("img")) return;
    event.preventDefault();
    at = { row, arm };
    versus.value = "";
    paint();
    box.showModal();
  }));

  // ---- tables that sort by a click on their heads
  for (const table of document.querySelectorAll(".numbers-table")) {
    const body = table.tBodies[0], planned = [...body.rows];
    table.querySelectorAll("thead th").forEach((head, column) => {
      const title = head.querySelector(".title");
      if (!title) return;
      const button = make("button", { type: "button", className: "sort" }, title.textContent);
      title.replaceChildren(button);
      button.addEventListener("click", () => {
        const order = { null: "ascending", ascending: "descending", descending: null }[head.getAttribute("aria-sort")];
        table.querySelectorAll("th[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
        if (order) head.setAttribute("aria-sort", order);
        const sign = order === "descending" ? -1 : 1;
        const value = (row) => row.cells[column].dataset.value === "" ? Infinity * sign : Number(row.cells[column].dataset.value);
        body.append(...(order ? [...planned].sort((x, y) => sign * (value(x) - value(y)) || 0) : planned));
      });
    });
  }

  for (const name of fields) control[name].addEventListener("input", apply);
  $("browse-reset").addEventListener("click", reset);
  addEventListener("hashchange", restore);
  browser.hidden = false;
  location.hash.startsWith("#browse") ? restore() : apply();
})();
