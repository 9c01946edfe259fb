/** The choice of a video for a view that is about one. */
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { api, ask, cursor } from '../lib/api';
import { address } from '../lib/base';
import { attempt } from '../lib/notices';
import { link } from '../lib/route';
import type { Status, Video } from '../lib/types';
import { nameOf, sentence } from '../lib/video';
import { T } from '../texts';
import { Head } from './frame';
import { Picture } from './picture';
import { Empty, Waiting } from './status';
import { Virtual } from './virtual';

const PAGE = 100;

export function PickVideo(props: {
  title: string;
  sub: string;
  view: string;
  query?: { status: Status[] };
  keep?: (video: Video) => boolean;
  none?: string;
}) {
  const videos = useSignal<Video[]>([]);
  const next = useSignal<string | null>(null);
  const isLoading = useSignal(true);
  const read = async (page: string | null) => {
    isLoading.value = true;
    await attempt(async () => {
      const query = { ...props.query, ordering: '-id', limit: PAGE, ...(page && { page }) };
      const got = await ask(api.GET('/videos/', { params: { query } }));
      const some = got.results.filter(props.keep ?? (() => true));
      videos.value = page ? [...videos.value, ...some] : some;
      next.value = cursor(got.next_page);
    });
    isLoading.value = false;
  };
  useEffect(() => void read(null), []);
  return (
    <div class="view">
      <Head title={props.title} sub={props.sub} />
      {videos.value.length === 0 && isLoading.value && <Waiting>{T.videos.loading}</Waiting>}
      {videos.value.length === 0 && !isLoading.value && <Empty title={props.none ?? T.pick.none} />}
      {videos.value.length > 0 && (
        <Virtual
          label={props.title}
          items={videos.value}
          itemKey={(video) => video.id}
          rowHeight={13.25}
          columnWidth={14}
          gap={0.75}
          onEnd={() => next.value && !isLoading.value && void read(next.value)}
          render={(video) => (
            <a class="pick" href={link(`${props.view}/${video.id}`)}>
              <Picture
                src={address(`/videos/${video.id}/screenshot/`, { width: 320, v: video.file_size })}
                alt=""
                icon="videos"
              />
              <strong>{nameOf(video)}</strong>
              <span>{sentence(video)}</span>
            </a>
          )}
        />
      )}
    </div>
  );
}
