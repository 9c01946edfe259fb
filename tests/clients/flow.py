"""The whole flow by the clients that two generators make: openapi-python-client and
openapi-generator's python.

flow.py GENERATOR SERVER TOKEN RECORDING FOLDER: GENERATOR is openapi-python-client or
openapi-generator; its client lies in FOLDER.
"""

import pathlib
import sys
import time


def openapi_python_client(server, token, recording):
    from ocellus_client import AuthenticatedClient
    from ocellus_client.api.objects import list_face_events, list_objects, object_fullframe, object_thumbnail
    from ocellus_client.api.server import health
    from ocellus_client.api.videos import (
        create_video, delete_video, list_videos, patch_video, process_video, read_video, replace_video,
        upload_video_file, video_screenshot,
    )
    from ocellus_client.models import VideoArchivePatch, VideoArchiveWrite
    from ocellus_client.models.stream_settings import StreamSettings
    from ocellus_client.types import File

    client = AuthenticatedClient(base_url=server, token=token, prefix="Token")
    with client as client:
        assert health.sync(client=client).version
        settings = StreamSettings.from_dict(SETTINGS)
        body = VideoArchiveWrite(camera_group=1, name="generated", stream_settings=settings)
        video = create_video.sync(client=client, body=body)
        assert video.name == "generated" and video.source_len is None, video
        with open(recording, "rb") as file:
            sent = upload_video_file.sync_detailed(video.id, client=client, body=File(payload=file))
        assert sent.status_code == 201, sent
        assert process_video.sync_detailed(video.id, client=client).status_code == 200
        done = poll(lambda: read_video.sync(video.id, client=client))
        assert done.health_status.status == "COMPLETED", done
        assert any(v.id == video.id for v in list_videos.sync(client=client, limit=1000).results)
        objects = list_objects.sync(video.id, client=client, type_=["car"]).results
        assert objects, "nothing was found"
        for picture in (object_thumbnail, object_fullframe):
            jpeg(picture.sync_detailed(objects[0].id, client=client).content)
        jpeg(video_screenshot.sync_detailed(video.id, client=client, width=100).content)
        assert list_face_events.sync(client=client, video_archive=[video.id]).results is not None
        patched = patch_video.sync(video.id, client=client, body=VideoArchivePatch(name="patched"))
        assert patched.name == "patched" and patched.stream_settings == done.stream_settings, patched
        body = VideoArchiveWrite(camera_group=1, name="replaced")
        assert replace_video.sync(video.id, client=client, body=body).name == "replaced"
        assert delete_video.sync_detailed(video.id, client=client).status_code == 204
        assert read_video.sync_detailed(video.id, client=client).status_code == 404


def openapi_generator(server, token, recording):
    import ocellus_client
    from ocellus_client import ObjectsApi, ServerApi, VideoArchivePatch, VideoArchiveWrite, VideosApi

    configuration = ocellus_client.Configuration(host=server)
    configuration.api_key["token"] = token
    configuration.api_key_prefix["token"] = "Token"
    with ocellus_client.ApiClient(configuration) as client:
        videos, objects, health = VideosApi(client), ObjectsApi(client), ServerApi(client)
        assert health.health().version
        body = VideoArchiveWrite.from_dict({"camera_group": 1, "name": "generated", "stream_settings": SETTINGS})
        video = videos.create_video(body)
        assert video.name == "generated" and video.source_len is None, video
        videos.upload_video_file(video.id, pathlib.Path(recording).read_bytes())
        videos.process_video(video.id)
        done = poll(lambda: videos.read_video(video.id))
        assert done.health_status.status == "COMPLETED", done
        assert any(v.id == video.id for v in videos.list_videos(limit=1000).results)
        found = objects.list_objects(video.id, type=["car"]).results
        assert found, "nothing was found"
        jpeg(objects.object_thumbnail(found[0].id))
        jpeg(objects.object_fullframe(found[0].id))
        jpeg(videos.video_screenshot(video.id, width=100))
        assert objects.list_face_events(video_archive=[video.id]).results is not None
        patched = videos.patch_video(video.id, VideoArchivePatch(name="patched"))
        assert patched.name == "patched" and patched.stream_settings == done.stream_settings, patched
        assert videos.replace_video(video.id, VideoArchiveWrite(camera_group=1, name="replaced")).name == "replaced"
        videos.delete_video(video.id)
        try:
            videos.read_video(video.id)
        except ocellus_client.exceptions.NotFoundException:
            return
        raise AssertionError("the video is still there")


# The sample recording is 272 pixels high.
SETTINGS = {"detectors": {"face": None, "car": {"filter_min_size": 15, "filter_min_quality": 0.1}}}


def poll(read):
    deadline = time.monotonic() + 180
    while not (video := read()).finished:
        assert time.monotonic() < deadline, video
        time.sleep(0.2)
    return video


def jpeg(content):
    assert bytes(content[:2]) == b"\xff\xd8", content[:20]


if __name__ == "__main__":
    generator, server, token, recording, folder = sys.argv[1:]
    sys.path.insert(0, folder)
    {"openapi-python-client": openapi_python_client, "openapi-generator": openapi_generator}[generator](
        server, token, recording
    )
    print(f"{generator}: the whole flow")
