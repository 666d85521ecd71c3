package engine

import "github.com/caiatech/caiatop/backend/document"

// samples are documents to try the console with.
func samples() []document.Document {
	text := func(id, kind, path, text string, metadata map[string]any) document.Document {
		return document.Document{
			ID:      mustID(id),
			Source:  document.Source{Type: mustType(kind), Path: path},
			Content: document.Content{Text: text, Metadata: metadata},
		}
	}
	return []document.Document{
		text("welcome", "markdown", "samples/welcome.md", "# Welcome\n\nThese documents are samples. Press `d` on the Overview to take the embedded\nservice down, write something, and bring it back: nothing is lost.\n\nDelete them with `x` when you have seen enough.\n", map[string]any{"title": "Welcome", "sample": true}),
		text("runbook-outage", "markdown", "samples/runbook-outage.md", "# When the service is away\n\n1. The header says FALLBACK and why.\n2. Writes are kept in the outbox and in git; reads go on.\n3. When the service answers again the outbox is sent to it.\n4. Press `r` to do that now.\n", map[string]any{"title": "Runbook: outage", "owner": "operations", "sample": true}),
		text("glossary", "text", "samples/glossary.txt", "outbox\tacknowledged operations that some store still lacks\ncursor\tthe newest operation that a store has\nreplica\ta store that follows the outbox\nfall back\tto serve from state file and git\nreseed\tto copy everything back to a service that lost its data\n", map[string]any{"title": "Glossary", "sample": true}),
		text("service-settings", "json", "samples/service-settings.json", "{\n  \"port\": 8080,\n  \"memory_mode\": true,\n  \"repository\": \"caia-documents\"\n}\n", map[string]any{"title": "Settings of the service", "sample": true}),
		text("lesefreude-日本語", "text", "samples/unicode.txt", "Grüße aus der Bibliothek. 図書館からこんにちは。 Привет из библиотеки.\n", map[string]any{"title": "Names in any script", "languages": []any{"de", "ja", "ru"}, "sample": true}),
		{
			ID:      mustID("pixel.gif"),
			Source:  document.Source{Type: mustType("gif"), Path: "samples/pixel.gif"},
			Content: document.Content{Raw: pixel, Metadata: map[string]any{"title": "One transparent pixel", "sample": true}},
		},
	}
}

// pixel is a GIF of one pixel, to have a document that is not text.
var pixel = []byte("GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;")

// mustID and mustType are for the constants above only.
func mustID(s string) document.ID {
	id, err := document.ParseID(s)
	if err != nil {
		panic(err)
	}
	return id
}

func mustType(s string) document.Type {
	t, err := document.ParseType(s)
	if err != nil {
		panic(err)
	}
	return t
}
