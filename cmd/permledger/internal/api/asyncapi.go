package api

// The description of what can be subscribed to and asked over NATS, in AsyncAPI 3.0: a document that is written by hand
// (asyncapi.json), with the version of this program put into it. The tests hold real messages against its schemas.

import (
	"bytes"
	_ "embed"
	"net/http"
	"runtime/debug"
)

//go:embed asyncapi.json
var asyncAPITemplate []byte

// asyncAPIDocument is the document as it is served.
var asyncAPIDocument = bytes.Replace(asyncAPITemplate, []byte(`"version": "0.0.0"`), append([]byte(`"version": `), marshal(programVersion())...), 1)

// programVersion is which build this is, as the Go toolchain recorded it.
func programVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(unknown)"
}

func (s *server) asyncAPI(w http.ResponseWriter, r *http.Request) error {
	if _, err := readParams(r); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/vnd.aai.asyncapi+json;version=3.0.0")
	_, err := w.Write(asyncAPIDocument)
	return err
}
