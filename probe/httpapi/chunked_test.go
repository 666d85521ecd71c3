//go:build !race

package httpapi_test

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/probe/httpapi/httpapitest"
)

// The race detector takes a minute to scan this body, in one goroutine.
func TestTooMuchInChunks(t *testing.T) {
	address := serveTCP(t, httpapi.NewServer(&httpapitest.Engine{}, nil), httpapi.TCPOptions{})
	chunked := "POST /api/v1/documents HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" +
		fmt.Sprintf("%x\r\n", httpapi.MaxBody+1) + strings.Repeat(" ", httpapi.MaxBody+1) + "\r\n0\r\n\r\n"
	conn := connect(t, address, "")
	go func() { _, _ = io.WriteString(conn, chunked) }()
	if line, err := bufio.NewReader(conn).ReadString('\n'); !strings.Contains(line, " 413 ") {
		t.Errorf("a body one byte over the limit, in chunks: %q, %v", line, err)
	}
}
