/** Numbers, times and sizes as people read them. */
import { T } from '../texts';

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const oneDigit = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });

export function count(value: number): string {
  return whole.format(value);
}

export function decimal(value: number): string {
  return value >= 100 ? whole.format(value) : oneDigit.format(value);
}

export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

/** `1:02:03`, `2:03`, with tenths on demand: a place in a recording. */
export function clock(seconds: number, tenths = false): string {
  const all = Math.max(0, tenths ? Math.round(seconds * 10) / 10 : Math.floor(seconds));
  const s = all % 60;
  const m = Math.floor(all / 60) % 60;
  const h = Math.floor(all / 3600);
  const ss = tenths ? s.toFixed(1).padStart(4, '0') : String(Math.floor(s)).padStart(2, '0');
  return h > 0 ? `${h}:${String(m).padStart(2, '0')}:${ss}` : `${m}:${ss}`;
}

/** `4 s`, `3 min`, `1 h 20 min`: how long something takes. */
export function duration(seconds: number): string {
  if (seconds < 1) return T.time.lessThanSecond;
  if (seconds < 90) return T.time.seconds(Math.round(seconds));
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return T.time.minutes(minutes);
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return T.time.hours(hours, minutes % 60);
  return T.time.days(Math.floor(hours / 24), hours % 24);
}

export function bytes(value: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value >= 10 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit] ?? ''}`;
}

const today = new Intl.DateTimeFormat('en', { hour: '2-digit', minute: '2-digit', hour12: false });
const thisYear = new Intl.DateTimeFormat('en', { day: 'numeric', month: 'short' });
const anyYear = new Intl.DateTimeFormat('en', { day: 'numeric', month: 'short', year: 'numeric' });
const full = new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeStyle: 'medium', hour12: false });

/** As short as it is clear: a time today, a day this year. */
export function date(text: string, now = new Date()): string {
  const at = new Date(text);
  if (at.toDateString() === now.toDateString()) return today.format(at);
  return (at.getFullYear() === now.getFullYear() ? thisYear : anyYear).format(at);
}

export function fullDate(text: string): string {
  return full.format(new Date(text));
}
