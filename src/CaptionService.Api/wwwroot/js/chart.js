// Small charts in SVG: axes with round numbers, one line for each series; their figures also as a table for screen readers.
import { h, svg } from './dom.js';
import { number, t } from './i18n.js';

const height = 260, left = 52, right = 14, top = 12, bottom = 38;

/** Lines over x: series are { name, points: [[x, y], …], kind } with kind a to f; dots: points without lines; whole: x only counts; legend: whether it names its series. */
export function lineChart({ title, xTitle, series, from, to, dots = false, diagonal = false, whole = false, legend = true }) {
  const width = Math.max(280, Math.min(640, document.documentElement.clientWidth - 56));       // narrow on a telephone, so that texts stay readable
  const shown = series.filter(one => one.points.length > 0);
  const xs = shown.flatMap(one => one.points.map(point => point[0])), ys = shown.flatMap(one => one.points.map(point => point[1]));
  const [xTicks, yTicks] = [ticks(...(from ?? range(xs)), whole), ticks(...(to ?? range(ys)))];
  const x = value => left + (value - xTicks[0]) / (xTicks.at(-1) - xTicks[0]) * (width - left - right);
  const y = value => height - bottom - (value - yTicks[0]) / (yTicks.at(-1) - yTicks[0]) * (height - top - bottom);
  return h('figure.chart', {},
    h('figcaption', {}, h('span', {}, title), shown.filter(one => legend && one.name !== title).map(one => h(`span.key.${one.kind}`, {}, one.name))),
    svg('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': `${title}: ${shown.map(last).join('; ')}` },
      yTicks.map(value => [svg('line.grid', { x1: left, x2: width - right, y1: y(value), y2: y(value) }), svg('text.y', { x: left - 8, y: y(value) + 4 }, number(value, 4))]),
      xTicks.map(value => svg('text.x', { x: x(value), y: height - bottom + 18 }, number(value, 4))),
      xTitle ? svg('text.x', { x: (left + width - right) / 2, y: height - 4 }, xTitle) : null,
      diagonal ? svg('line.diagonal', { x1: x(xTicks[0]), y1: y(yTicks[0]), x2: x(xTicks.at(-1)), y2: y(yTicks.at(-1)) }) : null,
      shown.map(one => [
        dots ? null : svg(`polyline.line.${one.kind}`, { points: one.points.map(([px, py]) => `${x(px).toFixed(1)},${y(py).toFixed(1)}`).join(' ') }),
        one.points.length <= 60 ? one.points.map(([px, py]) => svg(`circle.dot.${one.kind}`, { cx: x(px).toFixed(1), cy: y(py).toFixed(1), r: 3.5 }, svg('title', {}, `${one.name}, ${number(px, 4)}: ${number(py, 4)}`))) : null,
      ])));
}

const last = one => `${one.name} ${t('chart.last', { value: number(one.points.at(-1)[1], 4) })}`;

const range = values => values.length === 0 ? [0, 1] : [Math.min(...values), Math.max(...values)];

// Round numbers that hold all values; none below 0 where no value is.
function ticks(low, high, whole = false) {
  if (high - low < 1e-9) {
    const margin = Math.max(Math.abs(low) * 0.1, 0.5);
    [low, high] = [low < 0 ? low - margin : Math.max(0, low - margin), high + margin];
  }
  const rough = (high - low) / 4, power = 10 ** Math.floor(Math.log10(rough));
  const round = [1, 2, 2.5, 5, 10].find(factor => factor * power >= rough) * power, step = whole ? Math.max(1, Math.ceil(round)) : round;
  const first = Math.floor(low / step + 1e-9), count = Math.ceil(high / step - 1e-9) - first;
  return Array.from({ length: count + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}
