/** The keys of the player, wherever on the view the focus is but in inputs. */
import type { Playback } from './playback';

const JUMP_S = 5;

/** Whether a key was one of the player's. */
export function press(
  event: KeyboardEvent,
  playback: Playback,
  toggleBoxes: () => void,
  fullscreen: () => void,
): boolean {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return false;
  const now = playback.time.value;
  switch (event.key) {
    case ' ':
      // Space presses a button that has the focus.
      if (event.target instanceof HTMLElement && event.target.closest('button, a, summary, [role=button]'))
        return false;
      playback.toggle();
      return true;
    case 'k':
    case 'K':
      playback.pause();
      return true;
    case 'l':
    case 'L':
      if (playback.isPlaying.value) playback.faster();
      else playback.play();
      return true;
    case 'j':
    case 'J':
      if (playback.rate.value > 1) playback.slower();
      else playback.seek(now - JUMP_S);
      return true;
    case 'ArrowLeft':
      if (event.shiftKey) playback.seek(now - JUMP_S);
      else playback.step(-1);
      return true;
    case 'ArrowRight':
      if (event.shiftKey) playback.seek(now + JUMP_S);
      else playback.step(1);
      return true;
    case 'Home':
      playback.seek(0);
      return true;
    case 'b':
    case 'B':
      toggleBoxes();
      return true;
    case 'f':
    case 'F':
      fullscreen();
      return true;
    default:
      return false;
  }
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest('input, textarea, select, dialog, [contenteditable]') !== null;
}
