/** The notices of the page, above everything. */
import { dismiss, notices } from '../lib/notices';
import { T } from '../texts';
import { IconButton } from './button';
import { Icon } from './icon';

export function Notices() {
  return (
    <div class="notices" aria-live="polite">
      {notices.value.map((notice) => (
        <div key={notice.id} class={`notice notice-${notice.kind}`} role={notice.kind === 'error' ? 'alert' : 'status'}>
          <Icon name={notice.kind === 'error' ? 'warning' : 'check'} />
          <p>
            {notice.text}
            {notice.detail && <code>{notice.detail}</code>}
          </p>
          {notice.action && (
            <button
              type="button"
              class="text-button"
              onClick={() => {
                dismiss(notice.id);
                notice.action?.run();
              }}
            >
              {notice.action.label}
            </button>
          )}
          <IconButton icon="close" label={T.dismiss} onClick={() => dismiss(notice.id)} />
        </div>
      ))}
    </div>
  );
}
