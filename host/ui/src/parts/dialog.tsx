/** Modal dialogs on `<dialog>`: the browser keeps the focus inside and returns it afterwards. */
import type { ComponentChildren } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';
import { signal } from '@preact/signals';
import { T } from '../texts';
import { Button, IconButton } from './button';

export function Dialog(props: { title: string; onClose: () => void; wide?: boolean; children: ComponentChildren }) {
  const element = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => element.current?.showModal(), []);
  const { title, onClose } = props;
  return (
    <dialog
      ref={element}
      class={props.wide ? 'dialog dialog-wide' : 'dialog'}
      aria-label={title}
      onClose={onClose}
      onMouseDown={(event) => {
        if (event.target === element.current) element.current?.close();
      }}
    >
      <header class="dialog-head">
        <h2>{title}</h2>
        <IconButton icon="close" label={T.close} onClick={() => element.current?.close()} />
      </header>
      <div class="dialog-body">{props.children}</div>
    </dialog>
  );
}

interface Question {
  title: string;
  text: string;
  action: string;
  kind: 'danger' | 'primary';
  answer: (yes: boolean) => void;
}
const question = signal<Question | null>(null);

/** Asks before something that takes away what is there. */
export function confirm(
  title: string,
  text: string,
  action: string,
  kind: Question['kind'] = 'danger',
): Promise<boolean> {
  return new Promise((resolve) => {
    question.value = {
      title,
      text,
      action,
      kind,
      answer: (yes) => {
        question.value = null;
        resolve(yes);
      },
    };
  });
}

export function Confirmation() {
  const asked = question.value;
  if (!asked) return null;
  return (
    <Dialog title={asked.title} onClose={() => asked.answer(false)}>
      <p>{asked.text}</p>
      <div class="dialog-actions">
        <Button onClick={() => asked.answer(false)}>{T.cancel}</Button>
        <Button kind={asked.kind} onClick={() => asked.answer(true)}>
          {asked.action}
        </Button>
      </div>
    </Dialog>
  );
}
