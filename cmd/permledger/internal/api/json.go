package api

// Reading JSON where unknown fields are allowed, which AuthZEN wants, and yet strictly where it counts: a name that stands
// twice in one object is refused, and names are compared as they are. encoding/json's structs do neither. Commands have a
// stricter reader of their own (domain.DecodeCommand).

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"

	"github.com/permledger/permledger/domain"
)

// maxDepth is how deep objects and arrays may lie in one another: far beyond any question, far below the stack's end.
const maxDepth = 64

// object is a JSON object that was read: its values are string, json.Number, bool, nil, []any and object.
type object map[string]any

// readObject reads a body that must be one object and nothing else.
func readObject(body []byte) (object, error) {
	if !utf8.Valid(body) {
		return nil, domain.Errorf(domain.Malformed, "bad_json", "body: want JSON in UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	v, err := readValue(d, 0)
	if err != nil {
		return nil, jsonError(d, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, domain.Errorf(domain.Malformed, "bad_json", "body: something follows the object at byte %d", d.InputOffset())
	}
	o, ok := v.(object)
	if !ok {
		return nil, domain.Errorf(domain.Malformed, "bad_json", "body: want a JSON object")
	}
	return o, nil
}

func jsonError(d *json.Decoder, err error) error {
	var e *domain.Error
	switch {
	case errors.As(err, &e):
		return err
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return domain.Errorf(domain.Malformed, "bad_json", "body: want a JSON object, and it ends too soon at byte %d", d.InputOffset())
	}
	return domain.Errorf(domain.Malformed, "bad_json", "body: not JSON at byte %d: %v", d.InputOffset(), err)
}

func readValue(d *json.Decoder, depth int) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	delim, ok := t.(json.Delim)
	if !ok {
		return t, nil
	}
	if depth == maxDepth {
		return nil, domain.Errorf(domain.Malformed, "bad_json", "body: nested deeper than %d at byte %d", maxDepth, d.InputOffset())
	}
	if delim == '[' {
		list := []any{}
		for d.More() {
			v, err := readValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.Token()
		return list, err
	}
	o := make(object)
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		name := t.(string) // the decoder lets nothing else stand there
		if _, twice := o[name]; twice {
			return nil, domain.Errorf(domain.Malformed, "bad_json", "body: field %q stands there twice, the second time before byte %d", clip(name), d.InputOffset())
		}
		if o[name], err = readValue(d, depth+1); err != nil {
			return nil, err
		}
	}
	_, err = d.Token()
	return o, err
}

// object gives a field that must be an object where it is given; nil where it is not, or is null.
func (o object) object(name string) (object, error) {
	switch v := o[name].(type) {
	case nil:
		return nil, nil
	case object:
		return v, nil
	}
	return nil, domain.Errorf(domain.Malformed, "bad_field", "%s: want an object", name)
}

// text gives a field that must be a string that is not empty, where it is given; "" where it is not, or is null.
func (o object) text(where, name string) (string, error) {
	switch v := o[name].(type) {
	case nil:
		return "", nil
	case string:
		if v == "" {
			return "", domain.Errorf(domain.Malformed, "bad_field", "%s.%s: is empty", where, name)
		}
		return v, nil
	}
	return "", domain.Errorf(domain.Malformed, "bad_field", "%s.%s: want a string", where, name)
}

func missingField(name string) error {
	return domain.Errorf(domain.Malformed, "missing_field", "%s: is required and missing", name)
}
