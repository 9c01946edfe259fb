/**
 * Pictures of the server, with their place kept before they come and a mark where there is none.
 */
import { useState } from 'preact/hooks';
import { address } from '../lib/base';
import { Icon, typeIcon, type IconName } from './icon';

export function Picture(props: { src: string; alt: string; class?: string; icon?: IconName; contain?: boolean }) {
  const [failed, setFailed] = useState<string | null>(null);
  const { src, alt, icon = 'picture' } = props;
  return (
    <span class={`picture${props.contain ? ' picture-contain' : ''}${props.class ? ` ${props.class}` : ''}`}>
      {failed === src ? (
        <Icon name={icon} size={24} />
      ) : (
        <img src={src} alt={alt} loading="lazy" decoding="async" onError={() => setFailed(src)} />
      )}
    </span>
  );
}

/** The crop of an object. */
export function Thumbnail({ id, type, alt }: { id: string; type: string; alt: string }) {
  return <Picture src={thumbnail(id)} alt={alt} icon={typeIcon(type)} contain class="thumbnail" />;
}

export function thumbnail(id: string): string {
  return address(`/objects/${encodeURIComponent(id)}/thumbnail/`);
}
