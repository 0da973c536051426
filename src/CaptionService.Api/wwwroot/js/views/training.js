// Training: the jobs, a new one, one as it runs.
import { h } from '../dom.js';
import { get } from '../api.js';
import { empty, problemBox } from '../parts.js';
import { t, when } from '../i18n.js';
import { jobComparison, most } from './compareJobs.js';
import { newJob } from './newJob.js';
import { jobView } from './job.js';

export default function training(main, [id, dataset]) {
  if (id && id !== 'new') return jobView(main, id);
  const list = h('div.stack', {}), { panel, show } = jobComparison();
  const chosen = new Set();
  let last = '';
  main.append(h('h1', {}, t('training.title')), newJob(dataset, id === 'new'), panel, list);
  load();
  return undefined;

  async function load() {
    try {
      const { jobs } = await get('training-jobs');
      if (JSON.stringify(jobs) !== last) {        // else a look at the list would take the focus away
        last = JSON.stringify(jobs);
        draw(jobs);
      }
      if (jobs.some(job => !ended(job))) setTimeout(() => list.isConnected && load(), 3000);
    } catch (problem) {
      list.replaceChildren(problemBox(problem));
    }
  }

  function draw(jobs) {
    const several = jobs.length > 1;
    const boxes = jobs.map(job => h('input', { type: 'checkbox', checked: chosen.has(job.id), 'aria-label': t('training.compareNamed', { name: job.name }), onchange: event => choose(job, event.target.checked) }));
    list.replaceChildren(...(jobs.length === 0 ? [empty(t('training.none'), t('training.noneHelp'))]
      : [...(several ? [h('p.fine', {}, t('training.compareHelp', { most }))] : []), ...jobs.map((job, i) => line(job, several ? boxes[i] : null))]));
    limit();

    function choose(job, ticked) {
      if (ticked) chosen.add(job.id); else chosen.delete(job.id);
      limit();
    }

    function limit() {
      boxes.forEach(box => { box.disabled = !box.checked && chosen.size >= most; });
      show(jobs.filter(job => chosen.has(job.id)));
    }
  }
}

const line = (job, box) => h('article.card.line', {},
  h('div.row', {}, box ? h('label.tick', { title: t('training.compare') }, box) : null,
    h('div', {}, h('h2', {}, h('a', { href: `#training/${job.id}` }, job.name)),
      h('p.fine', {}, [job.preset, job.baseModel ? t('training.fromModel', { model: job.baseModel }) : null, when(job.times.validating)].filter(Boolean).join(' · ')))),
  state(job));

/** Whether nothing more comes of a job by itself. */
export const ended = job => ['cancelled', 'failed', 'succeeded'].includes(job.state);

/** A job's state as a badge. */
export const state = job => h(`span.badge.${{ succeeded: 'good', failed: 'bad', cancelled: 'warn' }[job.state] ?? 'fair'}`, {}, t(`job.${job.state}`));
