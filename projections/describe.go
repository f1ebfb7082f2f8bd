package projections

// Keys and values in words, for whoever has to see what is wrong with a projection. What can't be read is shown as it
// lies. It never shows a document: its length and digest are enough to tell it by.

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/permledger/permledger/domain"
)

// describe says what a key, organisation and all, is about, and of which event it came; seq is 0 where the key does not
// say.
func (k keyspace) describe(key []byte) (about string, seq domain.Seq) {
	rest := key[len(k.start)+1:]
	raw := fmt.Sprintf("%q", rest)
	switch key[len(k.start)] {
	case keyFact:
		seq, ok := seqOf(key)
		near, more, cut := bytes.Cut(rest[:max(0, len(rest)-suffixLen)], []byte{0})
		if !ok || !cut || len(more) < 1 {
			return raw, seq
		}
		letter := more[0]
		onObject := letter < 'a'
		f, isFact := factFrom(more[1:], domain.Family(letter|0x20), domain.Account(near), onObject)
		if !isFact {
			return raw, seq
		}
		side := "near its subject"
		if onObject {
			side = "near its object"
		}
		return describeFact(f) + ", " + side, seq
	case keyNamed:
		kind, id, _ := strings.Cut(string(rest), "\x00")
		return kind + ":" + id, 0
	case keyBegan, keyDocument:
		if len(rest) == 8 {
			seq = domain.Seq(binary.BigEndian.Uint64(rest))
			return fmt.Sprintf("event %d", seq), seq
		}
	case keyTime:
		if len(rest) == 8 {
			return domain.Instant(binary.BigEndian.Uint64(rest) ^ 1<<63).String(), 0
		}
	case keyDue:
		if at, of, ok := k.dueOf(key); ok {
			return fmt.Sprintf("at %s, of event %d", at, of), of
		}
	case keyBound:
		if at, of, ok := k.dueOf(key[:len(key)-1]); ok {
			return fmt.Sprintf("at %s, of event %d, to %s", at, of, describeValue(keyDue, of, key[len(key)-1:])), of
		}
	case keyDid:
		if actor, n, ok := bytes.Cut(rest, []byte{0}); ok && len(n) == 8 {
			seq = domain.Seq(binary.BigEndian.Uint64(n))
			return fmt.Sprintf("%s did event %d", actor, seq), seq
		}
	case keyRequest:
		return fmt.Sprintf("request %q", rest), 0
	}
	return raw, 0
}

// familyNames names each family as domain's table does.
var familyNames = map[domain.Family]string{
	domain.FamilyActive: "active", domain.FamilyLocked: "locked", domain.FamilyFailures: "failed sign-ins", domain.FamilyErased: "erased",
	domain.FamilyRole: "role", domain.FamilyLink: "link", domain.FamilyMember: "member", domain.FamilyGrant: "grant",
	domain.FamilyGrantRef: "grant id", domain.FamilyReview: "review", domain.FamilyException: "exception", domain.FamilyResource: "resource",
	domain.FamilyCreated: "created", domain.FamilyInvitation: "invitation", domain.FamilyAdmission: "admission",
	domain.FamilyCallEnded: "call ended", domain.FamilyCatalogue: "catalogue",
}

func describeFact(f domain.Fact) string {
	name := familyNames[f.Family]
	if name == "" {
		name = fmt.Sprintf("family %q", byte(f.Family))
	}
	b := name + " " + string(f.Subject)
	for _, part := range []string{string(f.Object), f.Name, f.ID} {
		if part != "" {
			b += " " + part
		}
	}
	return b
}

// describeValue says what a value of a sort of key holds; seq is that of the key.
func describeValue(letter byte, seq domain.Seq, value []byte) string {
	raw := fmt.Sprintf("%d bytes that can't be read: %x", len(value), value[:min(len(value), 64)])
	switch letter {
	case keyFact:
		v, err := readVersion(value, seq)
		if err != nil {
			return raw
		}
		return describeVersion(v)
	case keyNamed, keyTime:
		if n, err := readSeq(value); err == nil {
			return fmt.Sprintf("event %d", n)
		}
	case keyBegan:
		if f, err := readFact(value); err == nil {
			return describeFact(f)
		}
	case keyDue:
		switch string(value) {
		case string(rune(dueToBegin)):
			return "begin"
		case string(rune(dueToEnd)):
			return "end"
		}
	case keyBound, keyDid:
		if len(value) == 0 {
			return "there"
		}
	case keyRequest:
		if first, last, err := readRequest(value); err == nil {
			return fmt.Sprintf("events %d to %d", first, last)
		}
	case keyDocument:
		return fmt.Sprintf("a document of %d bytes, SHA-256 %x", len(value), sha256.Sum256(value))
	}
	return raw
}

func describeVersion(v domain.Version) string {
	parts := make([]string, len(v.Intervals))
	for i, iv := range v.Intervals {
		p := "from " + iv.From.String()
		if iv.Until != domain.Forever {
			p += " until " + iv.Until.String()
		}
		p += fmt.Sprintf(", begun by event %d", iv.Began)
		if iv.Ended != 0 {
			p += fmt.Sprintf(", ended by event %d", iv.Ended)
		}
		if iv.Corrected != 0 {
			p += fmt.Sprintf(", corrected by event %d", iv.Corrected)
		}
		if iv.Detail != "" {
			p += fmt.Sprintf(", %q", iv.Detail)
		}
		parts[i] = p
	}
	return "recorded " + v.Recorded.String() + ": " + strings.Join(parts, "; ")
}
