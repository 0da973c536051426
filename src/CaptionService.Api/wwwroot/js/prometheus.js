// The text format of Prometheus, as far as this page reads it.

/** Samples by name: [{ labels, value }]. */
export function parse(text) {
  const samples = new Map();
  for (const line of text.split('\n')) {
    const found = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? ([^ ]+)/.exec(line);
    if (!found) continue;
    const labels = Object.fromEntries([...(found[2] ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, name, value]) => [name, value]));
    if (!samples.has(found[1])) samples.set(found[1], []);
    samples.get(found[1]).push({ labels, value: Number(found[3]) });
  }
  return samples;
}

/** The sum of all samples of a name, of those whose labels fit; null where there is none. */
export function total(samples, name, fits = () => true) {
  const found = (samples.get(name) ?? []).filter(sample => fits(sample.labels));
  return found.length === 0 ? null : found.reduce((sum, sample) => sum + sample.value, 0);
}

/** The buckets of a histogram, cumulative and in order, summed over its other labels: [[upper bound, count]]. */
export function buckets(samples, name, fits = () => true) {
  const sums = new Map();
  for (const { labels, value } of samples.get(`${name}_bucket`) ?? []) {
    if (fits(labels)) sums.set(labels.le, (sums.get(labels.le) ?? 0) + value);
  }
  return [...sums].map(([bound, count]) => [bound === '+Inf' ? Infinity : Number(bound), count]).sort((a, b) => a[0] - b[0]);
}

/** A quantile of cumulative buckets, linear inside a bucket as Prometheus' histogram_quantile; null where nothing was measured. */
export function quantile(cumulative, q) {
  const all = cumulative.at(-1)?.[1] ?? 0;
  if (all === 0) return null;
  let low = 0, before = 0;
  for (const [bound, count] of cumulative) {
    if (count >= q * all) return bound === Infinity ? low : low + (bound - low) * (count === before ? 1 : (q * all - before) / (count - before));
    [low, before] = [bound, count];
  }
  return low;
}
