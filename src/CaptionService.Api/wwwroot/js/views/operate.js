// What the service does now, from its own /metrics.
import { h, whileShown } from '../dom.js';
import { request } from '../api.js';
import { lineChart } from '../chart.js';
import { problemBox } from '../parts.js';
import { admin } from './admin.js';
import { bytes, number, t } from '../i18n.js';
import { buckets, parse, quantile, total } from '../prometheus.js';

const every = 2000, kept = 90;
const history = [];         // outlives the view: { at, waiting, photos, memory }

export default function operate(main) {
  const place = h('div', {}), tiles = h('dl.tiles', {}), charts = h('div.halves', {});
  const admins = h('div.stack', {});
  main.append(h('h1', {}, t('operate.title')), h('p.fine', {}, t('operate.help')), place, tiles, charts, admins);
  admin(admins);
  look();
  whileShown(main.firstChild, every, look);

  async function look() {
    try {
      const samples = parse(await (await request('metrics')).text());
      const ready = await request('health/ready').then(() => true, () => false);
      place.replaceChildren();
      draw(samples, ready);
    } catch (problem) {
      place.replaceChildren(problemBox(problem));
    }
  }

  function draw(samples, ready) {
    const captions = labels => (labels.http_route ?? '') === '/captions';
    const latency = buckets(samples, 'http_server_request_duration_seconds', captions);
    const now = { at: Date.now() / 1000, waiting: total(samples, 'caption_queue_length') ?? 0, photos: total(samples, 'caption_photos_total') ?? 0, memory: total(samples, 'dotnet_process_memory_working_set_bytes') };
    history.push(now);
    history.splice(0, history.length - kept);
    const since = history.findLast(then => now.at - then.at >= 10) ?? history[0];
    const failed = total(samples, 'caption_photos_total', labels => 'error_type' in labels) ?? 0;
    const passes = total(samples, 'caption_batch_size_count') ?? 0;
    const ms = value => value === null ? '–' : `${number(value * 1000, 0)} ms`;
    const mean = name => { const count = total(samples, `${name}_count`); return count ? total(samples, `${name}_sum`) / count : null; };
    const values = {
      [t('operate.state')]: ready ? t('operate.ready') : t('operate.notReady'),
      [t('operate.waiting')]: number(now.waiting),
      [t('operate.perSecond')]: number(since === now ? 0 : (now.photos - since.photos) / (now.at - since.at), 1),
      [t('operate.photos')]: number(now.photos),
      [t('operate.failed')]: number(failed),
      [t('operate.median')]: ms(quantile(latency, 0.5)),
      [t('operate.p95')]: ms(quantile(latency, 0.95)),
      [t('operate.p99')]: ms(quantile(latency, 0.99)),
      [t('operate.queued')]: ms(mean('caption_queue_duration_seconds')),
      [t('operate.encode')]: ms(mean('caption_encode_duration_seconds')),
      [t('operate.decode')]: ms(mean('caption_search_duration_seconds')),
      [t('operate.batch')]: passes ? number(total(samples, 'caption_batch_size_sum') / passes, 1) : '–',
      [t('operate.memory')]: now.memory === null ? '–' : bytes(now.memory),
    };
    tiles.replaceChildren(...Object.entries(values).map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))));
    const time = pick => history.map(then => [Math.round(then.at - now.at), pick(then)]);
    charts.replaceChildren(
      lineChart({ title: t('operate.waiting'), xTitle: t('operate.seconds'), from: [-every * kept / 1000, 0], to: [0, Math.max(4, ...history.map(then => then.waiting))], series: [{ name: t('operate.waiting'), kind: 'a', points: time(then => then.waiting) }] }),
      batches(buckets(samples, 'caption_batch_size')));
  }
}

// How many passes had so many photos, as bars of text and length.
function batches(cumulative) {
  const rows = cumulative.filter(([bound]) => bound !== Infinity).map(([bound, count], i, all) => [bound, i === 0 ? 0 : all[i - 1][0], count - (i === 0 ? 0 : all[i - 1][1])]);
  const most = Math.max(1, ...rows.map(([, , count]) => count));
  return h('figure.chart', {}, h('figcaption', {}, h('span', {}, t('operate.batches'))),
    rows.length === 0 ? h('p.fine', {}, t('operate.noBatches')) : h('table.bars', {}, h('tbody', {}, rows.map(([bound, below, count]) =>
      h('tr', {}, h('th', { scope: 'row' }, below + 1 >= bound ? `${bound}` : `${below + 1}–${bound}`), h('td', {}, h('meter', { min: 0, max: most, value: count }, `${count}`)), h('td.number', {}, number(count)))))));
}
