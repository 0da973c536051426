// Training jobs side by side: one curve for each job, and what each reached.
import { h } from '../dom.js';
import { get } from '../api.js';
import { lineChart } from '../chart.js';
import { problemBox, table } from '../parts.js';
import { number, t } from '../i18n.js';
import { ended, state } from './training.js';

/** Most jobs in one chart: the colours that can be told apart. */
export const most = 6;

const kinds = 'abcdef';
// What can be drawn over the epochs: what it is called, whether more is better, where it stands.
const curves = {
  cider: { name: () => 'CIDEr', best: Math.max, of: epoch => epoch.scores.cider },
  bleu4: { name: () => 'BLEU-4', best: Math.max, of: epoch => epoch.scores.bleu4 },
  rougeL: { name: () => 'ROUGE-L', best: Math.max, of: epoch => epoch.scores.rougeL },
  devLoss: { name: () => t('training.devLoss'), best: Math.min, of: epoch => epoch.devNegativeLogLikelihood },
  trainLoss: { name: () => t('training.trainLoss'), best: Math.min, of: epoch => epoch.loss },
};

/** The panel; show(jobs) draws those that are chosen. */
export function jobComparison() {
  const curve = h('select', { onchange: () => draw() }, Object.entries(curves).map(([key, { name }]) => h('option', { value: key }, name())));
  const place = h('div.halves', {});
  const panel = h('section.card.compared', { hidden: true, 'aria-label': t('training.compared') },
    h('div.head', {}, h('h2', {}, t('training.compared')), h('label.row', {}, t('training.curve'), curve)), place);
  const known = new Map();         // by id; of jobs that have ended nothing more comes
  let shown = [];
  return { panel, show };

  async function show(jobs) {
    shown = jobs;
    panel.hidden = jobs.length < 2;
    if (panel.hidden) return;
    try {
      await Promise.all(jobs.filter(job => !known.get(job.id)?.whole).map(async job => {
        const { epochs } = await get(`training-jobs/${job.id}/metrics`);
        known.set(job.id, { epochs, whole: ended(job) });
      }));
      draw();
    } catch (problem) {
      place.replaceChildren(problemBox(problem));
    }
  }

  function draw() {
    const { name, best, of } = curves[curve.value], title = name();
    const jobs = shown.filter(job => known.has(job.id)), names = named(jobs);
    const runs = jobs.map((job, i) => {
      const points = known.get(job.id).epochs.map(epoch => [epoch.epoch, of(epoch)]).filter(point => Number.isFinite(point[1]));
      const reached = best(...points.map(point => point[1]));
      return { job, name: names[i], kind: kinds[i], points, reached, at: points.find(point => point[1] === reached)?.[0] };
    });
    place.replaceChildren(
      lineChart({ title, xTitle: t('job.epoch'), whole: true, legend: false, series: runs }),
      table(title, [t('training.job'), t('training.preset'), t('models.state'), t('training.best', { score: title }), t('job.epoch')],
        runs.map(run => [h(`span.key.${run.kind}`, {}, run.name), run.job.preset, state(run.job),
          ...(run.points.length === 0 ? ['–', '–'] : [number(run.reached, 3, 3), number(run.at)])]), 3));
  }
}

// Jobs of one name are told apart by their ids' ends.
const named = jobs => jobs.map(job => jobs.filter(other => other.name === job.name).length > 1 ? `${job.name} …${job.id.slice(-4)}` : job.name);
