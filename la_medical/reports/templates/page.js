"use strict";
(() => {
  const root = document.documentElement;
  const byId = (id) => document.getElementById(id);
  const make = (tag, text, attributes) => {
    const node = document.createElement(tag);
    if (text !== undefined) node.textContent = text;
    for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
    return node;
  };

  // Theme: the system's, until the reader chooses.
  const remembered = () => { try { return localStorage.getItem("la-theme"); } catch { return null; } };
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const paint = (theme) => {
    root.dataset.theme = theme;
    byId("theme").textContent = theme === "dark" ? "Light theme" : "Dark theme";
  };
  paint(remembered() || (system.matches ? "dark" : "light"));
  system.addEventListener("change", () => { if (!remembered()) paint(system.matches ? "dark" : "light"); });
  byId("theme").addEventListener("click", () => {
    paint(root.dataset.theme === "dark" ? "light" : "dark");
    try { localStorage.setItem("la-theme", root.dataset.theme); } catch { /* a page from a file may not store */ }
  });

  // On paper: light, and every figure open.
  let before = null;
  window.addEventListener("beforeprint", () => {
    before = { theme: root.dataset.theme, closed: [...document.querySelectorAll("details:not([open])")] };
    before.closed.forEach((part) => { part.open = true; });
    root.dataset.theme = "light";
  });
  window.addEventListener("afterprint", () => {
    if (!before) return;
    before.closed.forEach((part) => { part.open = false; });
    root.dataset.theme = before.theme;
  });

  const element = byId("case-data");
  if (!element) return;
  const data = JSON.parse(element.textContent);
  const STEP = 100;
  const NAMES = { T: "TP", t: "TN", F: "FP", f: "FN", "-": "" };
  const SAID = { TP: "true positive", TN: "true negative", FP: "false positive", FN: "false negative", "": "no outcome" };
  const state = { name: data.classes[0].name, outcome: "", source: "", find: "", key: "worst", up: false, shown: STEP, rows: [], at: -1 };
  const current = () => data.classes.find((entry) => entry.name === state.name);
  const columns = () => [
    { key: "case", label: "Case", get: (i) => data.case[i] },
    { key: "patient", label: "Patient", get: (i) => data.patient[i] },
    { key: "source", label: "Source", get: (i) => data.sources[data.source[i]] },
    { key: "score", label: data.score_label, get: (i) => current().score[i], number: true },
    { key: "label", label: "Label", get: (i) => ({ 1: "positive", 0: "negative", u: "uncertain" })[current().label[i]] || "unknown" },
    { key: "outcome", label: "Outcome", get: (i) => NAMES[current().outcome[i]] },
    ...(current().extra || []).map((column, n) => ({ key: `extra${n}`, label: column.label, get: (i) => column.values[i], number: column.number })),
  ];

  // How wrong an answer is: its distance from the threshold, errors before all others.
  const worst = (i) => {
    const entry = current();
    const wrong = entry.outcome[i] === "F" || entry.outcome[i] === "f";
    const score = entry.score[i] === null ? 0 : entry.score[i];
    const limit = entry.threshold === null ? 0.5 : entry.threshold;
    return (wrong ? 1e6 : entry.outcome[i] === "-" ? -1e6 : 0) + (wrong ? 1 : -1) * Math.abs(score - limit);
  };
  const show = (value, number) => value === null || value === undefined ? "" : number ? Number(value).toFixed(3).replace(/\.?0+$/, "") || "0" : String(value);

  const choose = () => {
    const entry = current();
    const find = state.find.toLowerCase();
    const rows = [];
    for (let i = 0; i < data.case.length; i += 1) {
      if (entry.present && entry.present[i] === "0") continue;
      if (state.outcome === "errors" && !"Ff".includes(entry.outcome[i])) continue;
      if (state.outcome && state.outcome !== "errors" && NAMES[entry.outcome[i]] !== (state.outcome === "none" ? "" : state.outcome)) continue;
      if (state.source !== "" && data.source[i] !== Number(state.source)) continue;
      if (find && !(`${data.case[i]} ${data.patient[i]}`.toLowerCase().includes(find))) continue;
      rows.push(i);
    }
    const column = columns().find((one) => one.key === state.key);
    const value = column ? column.get : worst;
    const sign = state.up ? 1 : -1;
    const keyed = rows.map((i) => [value(i), i]);
    keyed.sort(([a, i], [b, j]) => {
      const blankA = a === null || a === "" || a === undefined, blankB = b === null || b === "" || b === undefined;
      if (blankA || blankB) return blankA - blankB || i - j;
      const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
      return sign * order || i - j;
    });
    state.rows = keyed.map(([, i]) => i);
  };

  const head = () => {
    const row = make("tr");
    for (const column of columns()) {
      const cell = make("th", undefined, { scope: "col" });
      if (state.key === column.key) cell.setAttribute("aria-sort", state.up ? "ascending" : "descending");
      const button = make("button", column.label, { type: "button", "data-key": column.key });
      button.addEventListener("click", () => {
        state.up = state.key === column.key ? !state.up : !column.number;
        state.key = column.key;
        draw();
        document.querySelector(`#case-table button[data-key="${column.key}"]`).focus();
      });
      cell.append(button);
      row.append(cell);
    }
    document.querySelector("#case-table thead").replaceChildren(row);
  };

  const draw = () => {
    choose();
    head();
    const body = document.createDocumentFragment();
    state.rows.slice(0, state.shown).forEach((i, position) => {
      const row = make("tr");
      for (const column of columns()) {
        const cell = make(column.key === "case" ? "th" : "td");
        if (column.key === "case") {
          cell.setAttribute("scope", "row");
          const open = make("button", data.case[i], { type: "button", class: "open" });
          open.addEventListener("click", () => view(position));
          cell.append(open);
        } else if (column.key === "outcome") {
          const outcome = column.get(i);
          cell.append(make("span", outcome || "none", { class: `tag ${outcome || "none"}`, title: SAID[outcome] }));
        } else {
          cell.textContent = show(column.get(i), column.number);
        }
        row.append(cell);
      }
      body.append(row);
    });
    document.querySelector("#case-table tbody").replaceChildren(body);
    const shown = Math.min(state.shown, state.rows.length);
    const order = state.key === "worst" ? ", worst errors first" : "";
    byId("shown").textContent = `${shown} of ${state.rows.length} cases shown${order}.`;
    byId("more").hidden = shown >= state.rows.length;
  };

  const fill = (select, entries) => select.replaceChildren(...entries.map(([value, text]) => make("option", text, { value })));
  fill(byId("pick-class"), data.classes.map((entry) => [entry.name, entry.name]));
  fill(byId("pick-outcome"), [["", "all"], ["errors", "errors (FP, FN)"], ...["FP", "FN", "TP", "TN"].map((name) => [name, `${name}, ${SAID[name]}`]), ["none", "none"]]);
  fill(byId("pick-source"), [["", "all"], ...data.sources.map((name, i) => [String(i), name])]);
  const changed = (key, reset) => (event) => { state[key] = event.target.value; state.shown = STEP; if (reset) { state.key = "worst"; state.up = false; } draw(); };
  byId("pick-class").addEventListener("change", changed("name", true));
  byId("pick-outcome").addEventListener("change", changed("outcome"));
  byId("pick-source").addEventListener("change", changed("source"));
  byId("find").addEventListener("input", changed("find"));
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  byId("more").addEventListener("click", () => { state.shown += 5 * STEP; draw(); });

  // The viewer: one picture, or the slices of a volume with outlines.
  const dialog = byId("viewer");
  const canvas = byId("view-canvas");
  const WINDOWS = [["Soft tissue", 40, 400], ["Pancreas", 80, 200], ["Full", 100, 600]];
  let volume = null, slice = 0, window_ = 0, opened = "";

  const lut = () => {
    const [, level, width] = WINDOWS[window_];
    const { low, high } = volume.range;
    return Uint8ClampedArray.from({ length: 256 }, (_, v) => 255 * ((low + (high - low) * v / 255) - (level - width / 2)) / width);
  };
  const outline = (context, lines, style, scale) => {
    context.strokeStyle = style.colour;
    context.lineWidth = style.width;
    context.setLineDash(style.dash);
    for (const line of lines || []) {
      context.beginPath();
      line.forEach(([x, y], n) => (n ? context.lineTo(x * scale, y * scale) : context.moveTo(x * scale, y * scale)));
      context.stroke();
    }
  };
  const drawPicture = (source, after) => {
    const wanted = opened;
    const image = new Image();
    image.onload = () => {
      if (opened !== wanted) return;
      const scale = Math.max(1, Math.round(512 / Math.max(image.width, image.height)));
      canvas.width = image.width * scale;
      canvas.height = image.height * scale;
      const context = canvas.getContext("2d", { willReadFrequently: true });
      context.imageSmoothingEnabled = true;
      context.drawImage(image, 0, 0, canvas.width, canvas.height);
      if (after) after(context, scale);
      canvas.dataset.ready = opened;
    };
    image.src = source;
  };
  // Outlines by class: those of the chosen class (or, for a union that nobody drew as such, of its members), and the
  // other lesion classes in another style. A union says nothing beside an outlined member.
  const STYLES = [
    { kind: "reference", mine: true, said: "reference", colour: "#4ade80", dash: [], width: 2 },
    { kind: "candidate", mine: true, said: "candidate", colour: "#fb923c", dash: [6, 4], width: 2 },
    { kind: "reference", mine: false, said: "other reference", colour: "#7dd3fc", dash: [2, 3], width: 2 },
    { kind: "candidate", mine: false, said: "other candidate", colour: "#f0abfc", dash: [8, 3, 2, 3], width: 2 },
  ];
  const members = (name) => (data.unions || {})[name] || [];
  const outlined = (kind) => [...new Set(volume.slices.flatMap((entry) => Object.keys(entry[kind])))].sort();
  const namesOf = ({ kind, mine }) => {
    const there = outlined(kind);
    const chosen = there.includes(state.name) ? [state.name] : there.filter((name) => members(state.name).includes(name));
    if (mine) return chosen;
    return there.filter((name) => !chosen.includes(name) && name !== state.name && !members(state.name).includes(name)
      && !members(name).some((member) => there.includes(member)));
  };
  const legend = () => {
    const lines = STYLES.map((style) => [style, namesOf(style)]).filter(([style, names]) => style.mine || names.length);
    byId("view-legend").replaceChildren(...lines.map(([style, names]) => {
      const item = make("li");
      const sample = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      for (const [key, value] of Object.entries({ width: 34, height: 10, "aria-hidden": "true", class: "sample" })) sample.setAttribute(key, value);
      const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
      for (const [key, value] of Object.entries({ x1: 2, x2: 32, y1: 5, y2: 5, stroke: style.colour, "stroke-width": 2, "stroke-dasharray": style.dash.join(" ") })) line.setAttribute(key, value);
      sample.append(line);
      item.append(sample, ` ${style.said}: ${names.length ? names.join(", ") : "none of " + state.name}`);
      return item;
    }));
  };
  const drawSlice = () => {
    const entry = volume.slices[slice];
    byId("view-slice").value = slice;
    byId("view-where").textContent = `${slice + 1} of ${volume.slices.length}, ${entry.where}`;
    const here = STYLES.flatMap((style) => namesOf(style).filter((name) => entry[style.kind][name]).map((name) => `${style.kind} ${name}`));
    canvas.setAttribute("aria-label", `Case ${volume.name}, slice ${slice + 1} of ${volume.slices.length}; outlined: ${here.join(", ") || "nothing"}`);
    drawPicture(entry.picture, (context, scale) => {
      const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
      const table = lut();
      for (let p = 0; p < pixels.data.length; p += 4) for (let c = 0; c < 3; c += 1) pixels.data[p + c] = table[pixels.data[p + c]];
      context.putImageData(pixels, 0, 0);
      for (const style of [STYLES[2], STYLES[3], STYLES[0], STYLES[1]]) { // the chosen class on top, dashes over solid
        for (const name of namesOf(style)) outline(context, entry[style.kind][name], style, scale);
      }
      canvas.dataset.slice = String(slice);
    });
    document.querySelectorAll("#view-windows button").forEach((button, n) => button.setAttribute("aria-pressed", String(n === window_)));
  };
  WINDOWS.forEach(([name], n) => {
    const button = make("button", name, { type: "button" });
    button.addEventListener("click", () => { window_ = n; drawSlice(); });
    byId("view-windows").append(button);
  });
  const move = (by) => { if (volume) { slice = Math.min(volume.slices.length - 1, Math.max(0, slice + by)); drawSlice(); } };
  byId("view-slice").addEventListener("input", (event) => { slice = Number(event.target.value); drawSlice(); });
  canvas.addEventListener("wheel", (event) => { if (volume) { event.preventDefault(); move(Math.sign(event.deltaY)); } }, { passive: false });

  // Where the network looked: a class's map in orange over the picture; strong where the place adds most.
  let looked = "";
  const drawMap = (source, context) => {
    const wanted = `${opened} ${looked}`;
    const map = new Image();
    map.onload = () => {
      if (wanted !== `${opened} ${looked}`) return;
      const small = make("canvas");
      small.width = map.width;
      small.height = map.height;
      const brush = small.getContext("2d");
      brush.drawImage(map, 0, 0);
      const pixels = brush.getImageData(0, 0, small.width, small.height);
      for (let p = 0; p < pixels.data.length; p += 4) {
        pixels.data[p + 3] = 0.65 * pixels.data[p];
        pixels.data[p] = 251; pixels.data[p + 1] = 146; pixels.data[p + 2] = 60;
      }
      brush.putImageData(pixels, 0, 0);
      context.imageSmoothingEnabled = true;
      context.drawImage(small, 0, 0, canvas.width, canvas.height);
      canvas.dataset.map = looked;
    };
    map.src = source;
  };
  const drawImageCase = (kept) => {
    const map = kept.maps && kept.maps[looked];
    canvas.setAttribute("aria-label", `Image of case ${opened}${map ? `, with the map of ${looked}` : ""}`);
    delete canvas.dataset.map;
    drawPicture(kept.picture, map ? (context) => drawMap(map, context) : null);
    document.querySelectorAll("#view-maps button").forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.map === (map ? looked : ""))));
  };
  const offerMaps = (kept) => {
    const names = kept && kept.maps ? Object.keys(kept.maps) : [];
    const part = byId("view-maps");
    part.hidden = !names.length;
    part.querySelectorAll("button").forEach((button) => button.remove());
    for (const name of names.length ? ["", ...names] : []) {
      const button = make("button", name || "Off", { type: "button", "data-map": name });
      button.addEventListener("click", () => { looked = looked === name ? "" : name; drawImageCase(kept); });
      part.append(button);
    }
  };

  const answers = (i) => {
    const table = make("table");
    const top = make("tr");
    ["Class", data.score_label, "Threshold", "Label", "Outcome"].forEach((name) => top.append(make("th", name, { scope: "col" })));
    table.append(make("caption", `Answers for patient ${data.patient[i] || "without ID"}, source ${data.sources[data.source[i]]}`), make("thead"), make("tbody"));
    table.querySelector("thead").append(top);
    for (const entry of data.classes) {
      if (entry.present && entry.present[i] === "0") continue;
      const outcome = NAMES[entry.outcome[i]];
      const row = make("tr");
      row.append(make("th", entry.name, { scope: "row" }), make("td", show(entry.score[i], true)), make("td", show(entry.threshold, true)));
      row.append(make("td", ({ 1: "positive", 0: "negative", u: "uncertain" })[entry.label[i]] || "unknown"));
      const cell = make("td");
      cell.append(make("span", outcome || "none", { class: `tag ${outcome || "none"}`, title: SAID[outcome] }));
      row.append(cell);
      table.querySelector("tbody").append(row);
    }
    return table;
  };
  const view = (position) => {
    state.at = Math.min(state.rows.length - 1, Math.max(0, position));
    const i = state.rows[state.at];
    opened = data.case[i];
    byId("view-title").textContent = `Case ${opened}`;
    byId("view-answers").replaceChildren(answers(i));
    const kept = data.views[opened];
    volume = kept && kept.slices ? { ...kept, name: opened } : null;
    canvas.hidden = !kept;
    byId("view-none").hidden = Boolean(kept);
    byId("view-slices").hidden = !volume;
    delete canvas.dataset.ready;
    offerMaps(kept);
    if (volume) {
      const own = [state.name, ...members(state.name)].find((name) => name in volume.starts);
      slice = own === undefined ? volume.start : volume.starts[own];
      window_ = 0;
      legend();
      byId("view-said").textContent = [kept.case ? `Shown is case ${kept.case}.` : "", kept.note || ""].join(" ").trim();
      byId("view-slice").max = volume.slices.length - 1;
      drawSlice();
    } else if (kept) {
      drawImageCase(kept);
    }
    byId("view-back").disabled = state.at === 0;
    byId("view-next").disabled = state.at === state.rows.length - 1;
    if (!dialog.open) dialog.showModal();
  };
  byId("view-close").addEventListener("click", () => dialog.close());
  byId("view-back").addEventListener("click", () => view(state.at - 1));
  byId("view-next").addEventListener("click", () => view(state.at + 1));
  dialog.addEventListener("keydown", (event) => {
    if (event.target.id === "view-slice") return;
    const act = { ArrowLeft: () => view(state.at - 1), ArrowRight: () => view(state.at + 1), ArrowUp: () => move(-1), ArrowDown: () => move(1) }[event.key];
    if (act) { event.preventDefault(); act(); }
  });
  draw();
})();
