// The whole flow by openapi-generator's java: java Flow SERVER TOKEN RECORDING
import java.io.File;
import java.io.FileInputStream;
import java.util.List;
import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiException;
import org.openapitools.client.api.ObjectsApi;
import org.openapitools.client.api.ServerApi;
import org.openapitools.client.api.VideosApi;
import org.openapitools.client.auth.ApiKeyAuth;
import org.openapitools.client.model.StreamSettings;
import org.openapitools.client.model.StreamSettingsDetectors;
import org.openapitools.client.model.StreamSettingsDetectorsCar;
import org.openapitools.client.model.VideoArchive;
import org.openapitools.client.model.VideoArchivePatch;
import org.openapitools.client.model.VideoArchiveWrite;

class Flow {
    public static void main(String[] args) throws Exception {
        ApiClient client = new ApiClient();
        client.setBasePath(args[0]);
        ApiKeyAuth token = (ApiKeyAuth) client.getAuthentication("token");
        token.setApiKeyPrefix("Token");
        token.setApiKey(args[1]);
        VideosApi videos = new VideosApi(client);
        ObjectsApi objects = new ObjectsApi(client);
        check(!new ServerApi(client).health().getVersion().isEmpty(), "no version");

        // The sample recording is 272 pixels high.
        StreamSettingsDetectorsCar car = new StreamSettingsDetectorsCar();
        car.filterMinSize(15).filterMinQuality(new java.math.BigDecimal("0.1"));
        StreamSettings settings = new StreamSettings().detectors(new StreamSettingsDetectors().car(car));
        VideoArchiveWrite write = new VideoArchiveWrite().cameraGroup(1L).name("generated").streamSettings(settings);
        VideoArchive video = videos.createVideo(write);
        check("generated".equals(video.getName()) && video.getSourceLen() == null, video);
        Long id = video.getId();
        videos.uploadVideoFile(id, new File(args[2]));
        videos.processVideo(id);

        long deadline = System.nanoTime() + 180_000_000_000L;
        VideoArchive done = video;
        while (!done.getFinished()) {
            check(System.nanoTime() < deadline, done);
            Thread.sleep(200);
            done = videos.readVideo(id, null, null);
        }
        check("COMPLETED".equals(done.getHealthStatus().getStatus().getValue()), done);
        check(list(videos, id) == 1, "the video is not listed");

        String found = objects
            .listObjects(id, List.of("car"), null, null, null, null, null, null, null, null, null, null)
            .getResults().get(0).getId();
        jpeg(objects.objectThumbnail(found));
        jpeg(objects.objectFullframe(found));
        jpeg(videos.videoScreenshot(id, 100, null, null, null));

        VideoArchive patched = videos.patchVideo(id, new VideoArchivePatch().name("patched"), null);
        check("patched".equals(patched.getName()), patched);
        check(patched.getStreamSettings().equals(done.getStreamSettings()), patched);
        videos.deleteVideo(id, null);
        try {
            videos.readVideo(id, null, null);
            throw new AssertionError("the video is still there");
        } catch (ApiException error) {
            check(error.getCode() == 404, error);
        }
        System.out.println("java: the whole flow");
    }

    private static int list(VideosApi videos, Long id) throws ApiException {
        List<Integer> ids = List.of(id.intValue());
        return videos
            .listVideos(null, null, null, null, null, null, null, null, null, ids, null, null, 1000L, null, null, null)
            .getResults().size();
    }

    private static void jpeg(File picture) throws Exception {
        try (FileInputStream bytes = new FileInputStream(picture)) {
            check(bytes.read() == 0xff && bytes.read() == 0xd8, picture);
        }
    }

    private static void check(boolean holds, Object what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }
}
