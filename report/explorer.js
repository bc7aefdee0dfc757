// The figure of problem 5 that moves: the reader chooses λ, and its curve and its cut through the map follow.
// Python lays the numbers, ranges and ticks into the page. Without this script, and on paper, the panel stays hidden.
"use strict";
{
  const part = (name) => document.getElementById(`explorer-${name}`);
  const data = JSON.parse(part("data").textContent);
  const { widths, penalties, risk, rises, tuned, chosen, sample, range, ticks, colours } = data;
  const slider = part("lambda"), curves = part("curves"), map = part("map");
  const LEFT = 40, TOP = 24, BOTTOM = 220, CURVES_RIGHT = 312, MAP_RIGHT = 260, BAR = 274;

  const set = (element, attributes) => {
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };
  const draw = (parent, kind, attributes, text = "") => {
    const element = set(document.createElementNS(parent.namespaceURI, kind), attributes);
    element.textContent = text;
    return parent.appendChild(element);
  };
  const short = (value, digits = 3) => {
    const rounded = Number(value.toPrecision(digits));
    return rounded && (rounded < 1e-3 || rounded >= 1e6) ? rounded.toExponential() : String(rounded);
  };
  const scale = ([low, high], from, to, bend = Math.log) => (value) =>
    from + (to - from) * (bend(Math.min(Math.max(value, low), high)) - bend(low)) / (bend(high) - bend(low));
  const line = (points) => points.length === 1 ? `M${points[0][0] - 8} ${points[0][1]}h16` : // a single width is a dash
    `M${points.map(([x, y]) => `${x.toFixed(2)} ${y.toFixed(2)}`).join("L")}`;
  const box = (left, top, right, bottom) => `M${left} ${top}H${right}V${bottom}H${left}Z`;
  const edges = (places, first, last) =>
    [first, ...places.slice(1).map((place, k) => (place + places[k]) / 2), last].map((edge) => edge.toFixed(2));
  const end = (curve) => curve.slice(Math.floor(0.55 * curve.length)); // a label at the end keeps clear of this part

  const axes = (svg, right, x, y, heights, name, style) => {
    draw(svg, "path", { class: "axis", d: `M${LEFT} ${TOP}V${BOTTOM}H${right}` });
    for (const width of ticks.widths) {
      draw(svg, "path", { class: "axis", d: `M${x(width)} ${BOTTOM}v4` });
      draw(svg, "text", { class: "middle", x: x(width), y: BOTTOM + 17 }, short(width, 6));
    }
    for (const height of heights) {
      draw(svg, "path", { class: "axis", d: `M${LEFT} ${y(height)}h-4` });
      draw(svg, "text", { class: "end", x: LEFT - 7, y: y(height) + 4 }, short(height, 6));
    }
    draw(svg, "text", { class: style, x: 0, y: 13 }, name);
    const below = draw(svg, "text", { class: "middle", x: (LEFT + right) / 2, y: BOTTOM + 36 }, "number of features ");
    draw(below, "tspan", { class: "symbol" }, "p");
    if (sample < range.widths[0] || sample > range.widths[1]) return;
    draw(svg, "path", { class: "sample", d: `M${x(sample)} ${TOP}V${BOTTOM}` });
    draw(svg, "text", { class: "symbol middle", x: x(sample), y: TOP - 6 }, "p = N");
  };

  // What stays: on the left the tuned curve, on the right the map with its scale and the tuned penalties.
  const x = scale(range.widths, LEFT, CURVES_RIGHT, Number), y = scale(range.risk, BOTTOM, TOP);
  axes(curves, CURVES_RIGHT, x, y, ticks.risk, "risk", "");
  draw(curves, "path", { class: "tuned", d: line(tuned.map((value, k) => [x(widths[k]), y(value)])) });
  const below = Math.min(Math.max(...end(tuned).map(y)) + 17, BOTTOM - 6);
  draw(curves, "text", { class: "tuned-name end", x: 310, y: below }, "λ tuned");

  const across = scale(range.widths, LEFT, MAP_RIGHT, Number), up = scale(range.penalties, BOTTOM, TOP);
  const shade = scale(range.colours, 0, colours.length - 1), level = scale(range.colours, BOTTOM, TOP);
  const columns = edges(widths.map(across), LEFT, MAP_RIGHT), rows = edges(penalties.map(up), BOTTOM, TOP);
  const step = (BOTTOM - TOP) / colours.length; // each colour draws its part of the scale, then its tiles of the map
  const tiles = colours.map((_, k) => box(BAR, BOTTOM - step * k, BAR + 10, BOTTOM - step * (k + 1)));
  risk.forEach((curve, row) => curve.forEach((value, k) => {
    tiles[Math.round(shade(value))] += box(columns[k], rows[row], columns[k + 1], rows[row + 1]);
  }));
  tiles.forEach((d, k) => draw(map, "path", { class: "tile", fill: colours[k], d }));
  for (const value of ticks.colours) draw(map, "text", { x: BAR + 14, y: level(value) + 4 }, short(value, 6));
  draw(map, "text", { class: "end", x: 320, y: 13 }, "risk");
  axes(map, MAP_RIGHT, across, up, ticks.penalties, "λ", "symbol");
  const path = line(chosen.map((value, k) => [across(widths[k]), up(value)]));
  for (const style of ["halo", "white"]) draw(map, "path", { class: style, d: path });

  // What moves: the curve with its largest rise as a bar, its name, and the cut.
  const bar = draw(curves, "path", { class: "rise" }), fixed = draw(curves, "path", { class: "fixed" });
  const name = draw(curves, "text", { class: "fixed-name end", x: 310 });
  const cut = ["halo", "white dashed"].map((style) => draw(map, "path", { class: style }));
  const high = Math.max(Math.min(...end(chosen).map(up)) - 8, TOP + 14);
  for (const style of ["halo", "name"]) {
    draw(map, "text", { class: `${style} end`, x: MAP_RIGHT - 4, y: high }, "λ tuned");
  }

  const show = () => {
    const row = Number(slider.value), curve = risk[row], [from, to] = rises[row];
    const lambda = `λ = ${short(penalties[row])}`, place = x(widths[to]);
    const found = `${lambda}: the fixed curve ` + (from === to ? "never rises." :
      `rises by ${short(curve[to] - curve[from])}, to ${short(curve[to])} at p = ${widths[to]}; ` +
      `the tuned one is at ${short(tuned[to])} there.`);
    set(fixed, { d: line(curve.map((value, k) => [x(widths[k]), y(value)])) });
    set(bar, { d: `M${place} ${y(curve[from])}V${y(curve[to])}` });
    set(name, { y: Math.max(Math.min(...end(curve).map(y)) - 9, TOP + 10) }).textContent = lambda;
    for (const outline of cut) set(outline, { d: box(LEFT, rows[row], MAP_RIGHT, rows[row + 1]) });
    set(slider, { "aria-valuetext": found });
    part("found").textContent = found;
    set(curves, { "aria-label": `Risk against p. ${found}` });
    set(map, { "aria-label": `Map of the risk over p and λ, with a frame around the row ${lambda}.` });
  };
  slider.addEventListener("input", show);
  show();
  part("panel").hidden = false;
}
