// Verifies a post of Ocellus with the library of Standard Webhooks,
// github.com/standard-webhooks/standard-webhooks/libraries/go.
//
// verify SECRET HEADERS BODY: HEADERS is a file of JSON; BODY a file. Prints the names of a form's
// parts, or the type of a document.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"strings"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// verifyDocument verifies a post of the router json.
func verifyDocument(secret string, headers http.Header, body []byte) error {
	webhook, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return err
	}
	return webhook.Verify(body, headers)
}

type part struct {
	Name   string `json:"name"`
	Sha256 string `json:"sha256"`
}

// verifyForm verifies a post of the router http, and returns its parts. The library verifies text,
// and a form is none: what it verifies is the digests of the parts, in their order.
func verifyForm(secret string, headers http.Header, body []byte) ([]part, error) {
	digests := []byte(headers.Get("webhook-part-digests"))
	if err := verifyDocument(secret, headers, digests); err != nil {
		return nil, err
	}
	var signed []part
	if err := json.Unmarshal(digests, &signed); err != nil {
		return nil, err
	}
	_, parameters, err := mime.ParseMediaType(headers.Get("content-type"))
	if err != nil {
		return nil, err
	}
	form := multipart.NewReader(bytes.NewReader(body), parameters["boundary"])
	for _, expected := range signed {
		found, err := form.NextPart()
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(found)
		if err != nil {
			return nil, err
		}
		digest := sha256.Sum256(content)
		if found.FormName() != expected.Name || hex.EncodeToString(digest[:]) != expected.Sha256 {
			return nil, errors.New("a part is not the one that was signed: " + found.FormName())
		}
	}
	if _, err := form.NextPart(); err != io.EOF {
		return nil, errors.New("there are more parts than were signed")
	}
	return signed, nil
}

func main() {
	secret := os.Args[1]
	var all map[string]string
	text, err := os.ReadFile(os.Args[2])
	check(err)
	check(json.Unmarshal(text, &all))
	body, err := os.ReadFile(os.Args[3])
	check(err)
	headers := http.Header{}
	for name, value := range all {
		headers.Set(name, value)
	}
	if headers.Get("webhook-part-digests") != "" {
		parts, err := verifyForm(secret, headers, body)
		check(err)
		names := make([]string, len(parts))
		for n, part := range parts {
			names[n] = part.Name
		}
		fmt.Println(strings.Join(names, " "))
		return
	}
	check(verifyDocument(secret, headers, body))
	var document struct {
		Type string `json:"type"`
	}
	check(json.Unmarshal(body, &document))
	fmt.Println(document.Type)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
