// The interface's language: chosen here before, else the browser's, else English.
import de from './lang/de.js';
import en from './lang/en.js';
import zh from './lang/zh.js';

const tables = { en, de, zh };
const wanted = [localStorage.getItem('language'), ...navigator.languages].map(tag => (tag ?? '').slice(0, 2).toLowerCase());
let language = wanted.find(tag => tag in tables) ?? 'en';

/** Languages of the interface, each in its own words. */
export const languages = { en: 'English', de: 'Deutsch', zh: '中文' };

/** The language now. */
export const current = () => language;

/** Changes it. */
export function choose(tag) {
  language = tag;
  localStorage.setItem('language', tag);
}

/** The text of a key, with {names} replaced; a number n chooses between `key` and `key.one`. */
export function t(key, values = {}) {
  const table = tables[language];
  const text = (values.n === 1 ? table[`${key}.one`] : undefined) ?? table[key] ?? en[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    return value === undefined ? whole : typeof value === 'number' ? number(value) : value;
  });
}

/** A number as the language writes it. */
export const number = (value, digits = 2, least = 0) => value.toLocaleString(language, { maximumFractionDigits: digits, minimumFractionDigits: least });

/** A share as per cent. */
export const percent = (value, digits = 0) => value.toLocaleString(language, { style: 'percent', maximumFractionDigits: digits });

/** A date and time. */
export const when = time => new Date(time).toLocaleString(language, { dateStyle: 'medium', timeStyle: 'short' });

/** Bytes in a unit that people read. */
export function bytes(count) {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'];
  const power = Math.min(Math.floor(Math.log10(Math.max(count, 1)) / 3), units.length - 1);
  return (count / 1000 ** power).toLocaleString(language, { style: 'unit', unit: units[power], unitDisplay: 'short', maximumFractionDigits: power > 1 ? 1 : 0 });
}

/** A time span: 45 s, 12 min, 3.5 h. */
export function span(seconds) {
  const [value, unit] = seconds < 90 ? [seconds, 'second'] : seconds < 5400 ? [seconds / 60, 'minute'] : [seconds / 3600, 'hour'];
  return value.toLocaleString(language, { style: 'unit', unit, unitDisplay: 'short', maximumFractionDigits: unit === 'hour' ? 1 : 0 });
}

/** The name of a language of captions. */
export function languageName(tag) {
  try {
    return new Intl.DisplayNames([language], { type: 'language' }).of(tag) ?? tag;
  } catch {
    return tag;
  }
}
