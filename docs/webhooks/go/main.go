// Receives Firebreak's webhooks: SECRET=whsec_... PORT=9000 go run .
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"sync"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

func main() {
	webhook, err := standardwebhooks.NewWebhook(os.Getenv("SECRET"))
	if err != nil {
		log.Fatal(err)
	}
	var seen sync.Map // yours belongs in a database: a retry may come a day later
	http.HandleFunc("/", func(response http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(response, request.Body, 1<<20))
		// The bytes as they came, before anything parses them; refuses what is forged or older than five minutes.
		if err != nil || webhook.Verify(body, request.Header) != nil {
			response.WriteHeader(http.StatusBadRequest)
			return
		}
		// Every retry has the same id: act once, answer 2xx each time, within 15 seconds.
		if _, again := seen.LoadOrStore(request.Header.Get("webhook-id"), true); !again {
			var message struct {
				Type string
				Data struct{ Because string }
			}
			if err := json.Unmarshal(body, &message); err == nil {
				fmt.Println(message.Type, message.Data.Because)
			}
		}
		response.WriteHeader(http.StatusNoContent)
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
