// The whole flow by openapi-generator's go: flow SERVER TOKEN RECORDING
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"time"

	client "ocellus"
)

func main() {
	server, token, recording := os.Args[1], os.Args[2], os.Args[3]
	configuration := client.NewConfiguration()
	configuration.Servers = client.ServerConfigurations{{URL: server}}
	api := client.NewAPIClient(configuration)
	keys := map[string]client.APIKey{"token": {Key: token, Prefix: "Token"}}
	ctx := context.WithValue(context.Background(), client.ContextAPIKeys, keys)
	videos, objects := api.VideosAPI, api.ObjectsAPI

	health, _, err := api.ServerAPI.Health(ctx).Execute()
	must(err)
	check(health.Version != "", "no version")

	// The sample recording is 272 pixels high.
	detectors := client.NewStreamSettingsDetectors()
	detectors.SetFaceNil()
	size, quality := int32(15), float32(0.1)
	detectors.SetCar(client.StreamSettingsDetectorsCar{FilterMinSize: &size, FilterMinQuality: &quality})
	settings := client.NewStreamSettings()
	settings.Detectors = detectors
	name := "generated"
	write := client.NewVideoArchiveWrite(1, *client.NewNullableString(&name))
	write.SetStreamSettings(*settings)
	video, _, err := videos.CreateVideo(ctx).VideoArchiveWrite(*write).Execute()
	must(err)
	check(video.GetName() == "generated" && video.SourceLen.Get() == nil, video)
	file, err := os.Open(recording)
	must(err)
	_, err = videos.UploadVideoFile(ctx, video.Id).Body(file).Execute()
	must(err)
	_, err = videos.ProcessVideo(ctx, video.Id).Execute()
	must(err)

	deadline := time.Now().Add(180 * time.Second)
	done := video
	for !done.Finished {
		check(time.Now().Before(deadline), done)
		time.Sleep(200 * time.Millisecond)
		done, _, err = videos.ReadVideo(ctx, video.Id).Execute()
		must(err)
	}
	check(done.HealthStatus.Status == "COMPLETED", done)
	listed, _, err := videos.ListVideos(ctx).IdIn([]int32{int32(video.Id)}).Limit(1000).Execute()
	must(err)
	check(len(listed.Results) == 1 && listed.Results[0].Id == video.Id, listed)

	found, _, err := objects.ListObjects(ctx, video.Id).Type_([]string{"car"}).Execute()
	must(err)
	check(len(found.Results) > 0, "nothing was found")
	jpeg(objects.ObjectThumbnail(ctx, found.Results[0].Id).Execute())
	jpeg(objects.ObjectFullframe(ctx, found.Results[0].Id).Execute())
	jpeg(videos.VideoScreenshot(ctx, video.Id).Width(100).Execute())
	events, _, err := objects.ListFaceEvents(ctx).VideoArchive([]int64{video.Id}).Execute()
	must(err)
	check(events.Results != nil, events)

	patch := client.NewVideoArchivePatch()
	patch.SetName("patched")
	patched, _, err := videos.PatchVideo(ctx, video.Id).VideoArchivePatch(*patch).Execute()
	must(err)
	check(patched.GetName() == "patched" && reflect.DeepEqual(patched.StreamSettings, done.StreamSettings), patched)
	_, err = videos.DeleteVideo(ctx, video.Id).Execute()
	must(err)
	_, gone, err := videos.ReadVideo(ctx, video.Id).Execute()
	check(err != nil && gone.StatusCode == http.StatusNotFound, "the video is still there")
	fmt.Println("go: the whole flow")
}

func jpeg(picture *os.File, _ *http.Response, err error) {
	must(err)
	begin := make([]byte, 2)
	_, err = io.ReadFull(picture, begin)
	must(err)
	check(bytes.Equal(begin, []byte{0xff, 0xd8}), begin)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func check(holds bool, what any) {
	if !holds {
		panic(fmt.Sprintf("%+v", what))
	}
}
