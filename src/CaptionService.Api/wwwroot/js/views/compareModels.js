// Two models side by side: on photos that are dropped here, and on a data set, where one alone can be scored too.
import { h } from '../dom.js';
import { get } from '../api.js';
import { empty, field, problemBox } from '../parts.js';
import { languageName, t } from '../i18n.js';
import { evaluation } from './evaluation.js';
import { ownPhotos } from './ownPhotos.js';

export default function compareModels(main, [first, second]) {
  const place = h('div.stack', {});
  main.append(h('p', {}, h('a', { href: '#models' }, t('compare.back'))), h('h1', {}, t('compare.title')), place);
  load();

  async function load() {
    try {
      const { models } = await get('models');
      const versions = models.flatMap(model => model.versions).map(version => ({ ...version, reference: `${version.name}@${version.version}` }));
      place.replaceChildren(...(versions.length === 0 ? [empty(t('models.loading'), t('models.loadingHelp'))] : sections(versions)));
    } catch (problem) {
      place.replaceChildren(problemBox(problem));
    }
  }

  function sections(versions) {
    const languages = [...new Set(versions.map(version => version.language))];
    const one = h('select', { onchange: () => { fillOthers(); changed(); } }, languages.map(language =>
      h('optgroup', { label: languageName(language) }, versions.filter(version => version.language === language).map(version => option(version, version.reference === first)))));
    const other = h('select', { onchange: () => changed() });
    const photos = ownPhotos(pair), scores = evaluation(pair);
    fillOthers(second);
    changed();
    return [h('section.card', {}, h('div.fields', {}, field(t('compare.first'), one), field(t('compare.second'), other, t('compare.secondHelp')))),
      photos.section, scores.section];

    // Of the same language: the one named, or that in service, or whichever there is.
    function fillOthers(named) {
      const { reference, language } = chosen(one);
      const others = versions.filter(version => version.reference !== reference && version.language === language);
      const preferred = named === undefined ? others.find(version => version.active) ?? others.at(-1) : others.find(version => version.reference === named);
      other.replaceChildren(h('option', { value: '' }, t('compare.none')), ...others.map(version => option(version, version === preferred)));
    }

    function changed() {
      history.replaceState(null, '', `#models/compare/${[one.value, other.value].map(encodeURIComponent).join('/')}`);
      photos.show();
      scores.show();
    }

    /** The chosen versions: two, or only the first. */
    function pair() {
      return [chosen(one), chosen(other)].filter(Boolean);
    }

    function chosen(select) {
      return versions.find(version => version.reference === select.value);
    }
  }
}

const option = (version, selected) => h('option', { value: version.reference, selected },
  version.active ? `${version.reference}, ${t('models.active')}` : version.reference);
