package api

// By which name a server on this machine's own address may be called. A page in a browser of this machine can be made to
// ask 127.0.0.1 under a name of its author's (DNS rebinding), and its author then reads the answers. The browser puts that
// name into Host and lets no script change it, so a name that nobody gave the server is refused. This keeps such pages
// out and nobody else: whoever writes requests himself writes any Host.

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/permledger/permledger/domain"
)

// Hosts lets through what calls the server localhost, by a loopback address, or by one of the names, at any port. All
// else gets 421. The names are as ParseHost gives them.
func Hosts(next http.Handler, names []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host := hostOf(r.Host); host != "localhost" && !net.ParseIP(host).IsLoopback() && !slices.Contains(names, host) {
			writeProblem(w, problemOf(refusal{status: http.StatusMisdirectedRequest, code: "unknown_host", detail: fmt.Sprintf(
				"host %q: this server is not known by that name; call it localhost or 127.0.0.1, or serve with --allow-host and the name that a proxy passes on", clip(r.Host))},
				w.Header().Get(requestIDHeader)))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// ParseHost reads a name for Hosts: a host's name or address, without a scheme, a port or a path.
func ParseHost(s string) (string, error) {
	host := hostOf(s)
	if host == "" || host != strings.Trim(strings.ToLower(s), "[]") || strings.ContainsAny(host, "/@*? \t") || strings.Contains(host, ":") && net.ParseIP(host) == nil {
		return "", domain.Errorf(domain.Malformed, "bad_host", "host %q: want a host's name alone, without scheme, port or path, e.g. ledger.example", clip(s))
	}
	return host, nil
}

// hostOf is the host of a Host header, in lower case, without its port and the brackets of an IPv6 address.
func hostOf(s string) string {
	if host, _, err := net.SplitHostPort(s); err == nil {
		s = host
	}
	return strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
}
