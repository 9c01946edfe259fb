/** Colours of identities: the same one for the same identity, calm beside each other. */
import { isDark } from './theme';

const GOLDEN_ANGLE = 137.508;

/** Numbers of identities in the order in which they are met: neighbours are far apart in hue. */
export class Identities {
  private readonly numbers = new Map<string, number>();

  hue(key: string): number {
    let number = this.numbers.get(key);
    if (number === undefined) {
      number = this.numbers.size;
      this.numbers.set(key, number);
    }
    return (200 + number * GOLDEN_ANGLE) % 360;
  }
}

/** On the page: bars and marks. */
export function onPage(hue: number): string {
  return isDark() ? `oklch(0.74 0.11 ${hue})` : `oklch(0.6 0.12 ${hue})`;
}

/** On a picture, which is as dark or light as it is. */
export function onPicture(hue: number): string {
  return `oklch(0.8 0.15 ${hue})`;
}
