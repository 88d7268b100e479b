package goclient

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// An answer, and what Go's client says of it.
type answer struct {
	Name   string `json:"name"`
	Bytes  string `json:"-"`
	Status string `json:"status"`
	Error  string `json:"error"`
	// Is the body what a target would send?
	Page bool `json:"page"`
}

const page = "m 1\n"

// answers are variations of an HTTP answer: each deviates in one thing or in two from what everybody sends.
func answers() []answer {
	var all []answer
	add := func(name, bytes string) { all = append(all, answer{Name: name, Bytes: bytes}) }
	length := fmt.Sprintf("Content-Length: %d\r\n", len(page))
	ok := "HTTP/1.1 200 OK\r\n"
	for _, line := range []string{
		"HTTP/1.1 200 OK", "HTTP/1.1  200 OK", "HTTP/1.1   200  OK", "HTTP/1.1 200", "HTTP/1.1 200 ", "HTTP/1.1 200  two  blanks ",
		"HTTP/1.2 200 OK", "HTTP/1.9 200 OK", "HTTP/2.0 200 OK", "HTTP/3.7 200 OK", "HTTP/0.9 200 OK", "HTTP/1.0 200 OK",
		"HTTP/1.10 200 OK", "HTTP/11 200 OK", "HTTP/1 200 OK", "HTTP/1,1 200 OK", "http/1.1 200 OK", "HTTP 200 OK", "HTTPS/1.1 200 OK",
		" HTTP/1.1 200 OK", "ICY 200 OK", "HTTP/1.1\t200 OK", "HTTP/1.1 200\tOK", "HTTP/1.1 0200 OK", "HTTP/1.1 20 OK",
		"HTTP/1.1 2000 OK", "HTTP/1.1 abc OK", "HTTP/1.1 +20 OK", "HTTP/1.1 -20 OK", "HTTP/1.1 2x0 OK", "HTTP/1.1", "HTTP/1.1 ", "",
		"HTTP/1.1 200 \xffreason", "HTTP/1.1 200 " + strings.Repeat("r", 5000),
		"HTTP/1.1 201 Created", "HTTP/1.1 206 Partial", "HTTP/1.1 404 Not Found", "HTTP/1.1 404 nothing here", "HTTP/1.1 500 Database gone",
		"HTTP/1.1 500", "HTTP/1.1 500 ", "HTTP/1.1 503   Later", "HTTP/1.0 502 Bad", "HTTP/1.1 599 Own", "HTTP/1.1 999 Max",
		"HTTP/1.1 302 Found", "HTTP/1.1 301 Moved", "HTTP/1.1 304 Not Modified", "HTTP/1.1 204 No Content", "HTTP/1.1 101 Switching",
	} {
		for _, end := range []string{"\r\n", "\n"} {
			add(fmt.Sprintf("status %.30q %q", line, end), line+end+length+end+page)
		}
	}
	for _, header := range []string{
		"Server :nginx", "Server\t:nginx", "X Name: 1", " X: 1", "\tX: 1", ": 1", ":", "X", "X:", "X: ", "X:1", "X:\t1", "X: a\tb", "X: \xe4\xff", "X: \x01", "X: a\x00b",
		"X: \x7f", "X\xe4: 1", "X(1): 1", "X/Y: 1", "X@Y: 1", "X\"Y: 1", "X!#$%&'*+-.^_`|~: 1", "X: a\rb", "X: 1\r", "X: 1\r\r",
		"X: 1\r\n  folded", "X: 1\r\n\tfolded\r\n more", "X:\r\n 1", "X: 1\r\n ", "X: 1\r\n \r\nY: 2", "X: 1\n folded", "Y: 1\nX: 2",
		"Content-Length : 4", "Content-Length: 4", "Content-Length:  4  ", "Content-Length: 04", "Content-Length: 3", "Content-Length: 5", "Content-Length: 0",
		"Content-Length: -1", "Content-Length: +4", "Content-Length: 4x", "Content-Length: x", "Content-Length: ", "Content-Length: 0x4",
		"Content-Length: 4, 4", "Content-Length: 4, 5", "Content-Length: 4\r\nContent-Length: 4", "Content-Length: 4\r\nContent-Length: 5",
		"Content-Length: 9223372036854775808", "Content-Length: 18446744073709551616", "Content-Length:\r\n 4", "content-length: 4", "CONTENT-LENGTH: 4",
		"Transfer-Encoding: identity", "Transfer-Encoding: gzip", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: ", "Transfer-Encoding : chunked",
		"Connection: keep-alive", "Connection: close", "Connection: upgrade", "Trailer: X", "Date: never", "Location: /elsewhere", "Set-Cookie: =;=",
		strings.Repeat("X: 1\r\n", 150) + "Y: 1", strings.Repeat("X: 1\r\n", 2000) + "Y: 1", "X: " + strings.Repeat("y", 66000), "X: " + strings.Repeat("y", 120000),
		strings.Repeat("X: "+strings.Repeat("y", 1000)+"\r\n", 66) + "Y: 1", strings.Repeat("x", 70000) + ": 1", strings.Repeat("X: 1\r\n ", 3000) + "y",
	} {
		add(fmt.Sprintf("header %.40q", header), ok+header+"\r\n\r\n"+page)
		add(fmt.Sprintf("header %.40q behind another", header), ok+"A: b\r\n"+header+"\r\n\r\n"+page)
		if !strings.HasPrefix(strings.ToLower(header), "content-length:") {
			add(fmt.Sprintf("header %.40q with a length", header), ok+length+header+"\r\nZ: z\r\n\r\n"+page)
		}
	}
	for _, body := range []string{
		"4\r\nm 1\n\r\n0\r\n\r\n", "2\r\nm \r\n2\r\n1\n\r\n0\r\n\r\n", "4;x=y\r\nm 1\n\r\n0\r\n\r\n", "4 \r\nm 1\n\r\n0\r\n\r\n", "004\r\nm 1\n\r\n000\r\n\r\n",
		"4\r\nm 1\n\r\n0\r\nX: 1\r\n\r\n", "4\r\nm 1\n\r\n0;x\r\n\r\n", "0\r\n\r\n", "4\r\nm 1\n\r\n", "4\r\nm 1", "x\r\nm 1\n\r\n0\r\n\r\n", "-4\r\nm 1\n\r\n0\r\n\r\n",
		"\r\n4\r\nm 1\n\r\n0\r\n\r\n", "3\r\nm 1\n\r\n0\r\n\r\n", "4\r\nm 1\n0\r\n\r\n", "00000000000000004\r\nm 1\n\r\n0\r\n\r\n", "ffffffffffffffff\r\nm 1\n", " 4\r\nm 1\n\r\n0\r\n\r\n", "m 1\n",
		"4\r\nm 1\n\r\n0\r\n\r\nmore", "",
	} {
		add(fmt.Sprintf("chunks %q", body), ok+"Transfer-Encoding: chunked\r\n\r\n"+body)
		add(fmt.Sprintf("chunks %q and a length", body), ok+length+"transfer-encoding: Chunked\r\n\r\n"+body)
		add(fmt.Sprintf("chunks %q of 1.0", body), "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+body)
	}
	for _, before := range []string{
		"HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n", "\r\n", "\n", "HTTP/1.1 199 x\r\nContent-Length: 9\r\n\r\n", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 4),
	} {
		add(fmt.Sprintf("before it %q", before), before+ok+length+"\r\n"+page)
	}
	add("nothing", "")
	add("half a head", ok+"Content-Le")
	add("half a status", "HTTP/1.")
	add("no end of head", ok+length)
	add("the body ends early", ok+"Content-Length: 9\r\n\r\n"+page)
	add("ssh", "SSH-2.0-OpenSSH_9.6\r\n")
	add("an alert of TLS", "\x15\x03\x01\x00\x02\x02\x16")
	return all
}

// serveAnswers answers a request for /7 with the seventh of them, and closes.
func serveAnswers(all []answer) net.Listener {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				request, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					return
				}
				if n, err := strconv.Atoi(strings.TrimPrefix(request.URL.Path, "/")); err == nil && n < len(all) {
					io.WriteString(conn, all[n].Bytes)
				}
			}()
		}
	}()
	return listener
}

// TestServeAnswers serves many answers, with the verdict of Go's client on each, until it is ended from outside.
func TestServeAnswers(t *testing.T) {
	if os.Getenv("WEFT_SERVE") == "" {
		t.Skip("WEFT_SERVE is not set: this test is run by tests/e2e")
	}
	all := answers()
	raw := serveAnswers(all)
	for n := range all {
		// As Prometheus asks.
		client := http.Client{Transport: &http.Transport{DisableCompression: true, DisableKeepAlives: n%2 == 0}, Timeout: 10 * time.Second}
		response, err := client.Get(fmt.Sprintf("http://%s/%d", raw.Addr(), n))
		if err == nil {
			all[n].Status = response.Status
			var body []byte
			body, err = io.ReadAll(response.Body)
			all[n].Page = string(body) == page
		}
		if err != nil {
			all[n].Error = err.Error()
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	http.HandleFunc("/verdicts", func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{"address": raw.Addr().String(), "answers": all})
	})
	fmt.Println("listening", listener.Addr())
	t.Fatal(http.Serve(listener, nil))
}
