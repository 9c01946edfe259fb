// Verifies a post of Ocellus with the library of Standard Webhooks,
// github.com/standard-webhooks/standard-webhooks/libraries/go.
//
// verify SECRET HEADERS BODY: HEADERS is a file of JSON; BODY a file.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// signed is the part of a post that is signed as text: the document of the router json, or the
// digests of the parts of the router http.
func signed(secret string, headers http.Header, body []byte) ([]byte, error) {
	webhook, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return nil, err
	}
	if digests := headers.Get("webhook-part-digests"); digests != "" {
		body = []byte(digests)
	}
	return body, webhook.Verify(body, headers)
}

func main() {
	var all map[string]string
	text, err := os.ReadFile(os.Args[2])
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	body, failed := os.ReadFile(os.Args[3])
	if err != nil || failed != nil {
		log.Fatal(err, failed)
	}
	headers := http.Header{}
	for name, value := range all {
		headers.Set(name, value)
	}
	verified, err := signed(os.Args[1], headers, body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(verified))
}
