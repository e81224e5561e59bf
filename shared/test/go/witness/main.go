// A peer for our witness and for the client that asks one: C2SP tlog-witness over Go's own net/http,
// crypto/ed25519 and x/mod/sumdb, and nothing of ours.
//
//	witness submit URL LOGSEED WITNESS   a log of Go's makes sizes 1 to 150 known to our witness, and verifies
//	                                     every cosignature against WITNESS, a verifier key of type 04
//	witness serve SEED LOG               a witness of Go's for the log with the verifier key LOG; prints its
//	                                     own verifier key and its URL, and ends when stdin does
//
// Seeds are 64 hex digits. The log is named "go.example/log", the witness "go.example/witness".
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	logName     = "go.example/log"
	witnessName = "go.example/witness"
	treeLine    = "go.sum database tree"
)

func main() {
	switch {
	case len(os.Args) == 5 && os.Args[1] == "submit":
		submit(os.Args[2], os.Args[3], os.Args[4])
	case len(os.Args) == 4 && os.Args[1] == "serve":
		serve(os.Args[2], os.Args[3])
	default:
		fail(fmt.Errorf("usage: witness submit URL LOGSEED WITNESS, witness serve SEED LOG"))
	}
}

func keyID(name string, kind byte, public ed25519.PublicKey) uint32 {
	h := sha256.Sum256(append([]byte(name+"\n"), append([]byte{kind}, public...)...))
	return binary.BigEndian.Uint32(h[:4])
}

func vkey(name string, kind byte, public ed25519.PublicKey) string {
	data := base64.StdEncoding.EncodeToString(append([]byte{kind}, public...))
	return fmt.Sprintf("%s+%08x+%s", name, keyID(name, kind, public), data)
}

func message(t uint64, text []byte) []byte {
	return append([]byte(fmt.Sprintf("cosignature/v1\ntime %d\n", t)), text...)
}

// A cosigner is a note.Verifier for keys of type 04.
type cosigner struct {
	name   string
	id     uint32
	public ed25519.PublicKey
}

func (c cosigner) Name() string    { return c.name }
func (c cosigner) KeyHash() uint32 { return c.id }
func (c cosigner) Verify(text, sig []byte) bool {
	if len(sig) != 72 {
		return false
	}
	t := binary.BigEndian.Uint64(sig[:8])
	return t != 0 && ed25519.Verify(c.public, message(t, text), sig[8:])
}

func parseCosigner(text string) cosigner {
	parts := strings.SplitN(text, "+", 3)
	data, err := base64.StdEncoding.DecodeString(parts[2])
	check(err)
	if data[0] != 4 {
		fail(fmt.Errorf("%s is no key of type 04", text))
	}
	public := ed25519.PublicKey(data[1:])
	c := cosigner{parts[0], keyID(parts[0], 4, public), public}
	if fmt.Sprintf("%08x", c.id) != parts[1] {
		fail(fmt.Errorf("%s has another id", text))
	}
	return c
}

// A signer is a note.Signer of a raw key.
type signer struct {
	name string
	key  ed25519.PrivateKey
}

func (s signer) Name() string    { return s.name }
func (s signer) KeyHash() uint32 { return keyID(s.name, 1, s.key.Public().(ed25519.PublicKey)) }
func (s signer) Sign(msg []byte) ([]byte, error) {
	return ed25519.Sign(s.key, msg), nil
}

func keyFrom(seed string) ed25519.PrivateKey {
	bytes, err := hex.DecodeString(seed)
	check(err)
	return ed25519.NewKeyFromSeed(bytes)
}

type storage []tlog.Hash

func (s storage) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		out[i] = s[index]
	}
	return out, nil
}

func submit(url, seed, witness string) {
	c := parseCosigner(witness)
	s := signer{logName, keyFrom(seed)}
	var store storage
	old := int64(0)
	for size := int64(1); size <= 150; size++ {
		hashes, err := tlog.StoredHashes(size-1, []byte(fmt.Sprintf("record %d", size-1)), store)
		check(err)
		store = append(store, hashes...)
		if size%3 == 2 {
			continue // steps of one and of two
		}
		root, err := tlog.TreeHash(size, store)
		check(err)
		text := fmt.Sprintf("%s\n%d\n%s\n", logName, size, root)
		signed, err := note.Sign(&note.Note{Text: text}, s)
		check(err)
		var body bytes.Buffer
		fmt.Fprintf(&body, "old %d\n", old)
		if old > 0 {
			proof, err := tlog.ProveTree(size, old, store)
			check(err)
			for _, h := range proof {
				fmt.Fprintf(&body, "%s\n", h)
			}
		}
		body.WriteString("\n")
		body.Write(signed)
		answer, err := http.Post(url+"/add-checkpoint", "text/plain", &body)
		check(err)
		lines, err := io.ReadAll(answer.Body)
		check(err)
		answer.Body.Close()
		if answer.StatusCode != 200 {
			fail(fmt.Errorf("size %d: %s: %s", size, answer.Status, lines))
		}
		opened, err := note.Open(append(signed, lines...), note.VerifierList(c))
		check(err)
		if len(opened.Sigs) != 1 {
			fail(fmt.Errorf("size %d: %d cosignatures", size, len(opened.Sigs)))
		}
		old = size
	}
	fmt.Println("ok")
}

// What the witness has cosigned last.
type state struct {
	sync.Mutex
	size int64
	root tlog.Hash
	note []byte
}

func serve(seed, logKey string) {
	key := keyFrom(seed)
	verifier, err := note.NewVerifier(logKey)
	check(err)
	known := &state{}
	http.HandleFunc("/add-checkpoint", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<17))
		if err != nil {
			return
		}
		known.Lock()
		defer known.Unlock()
		add(w, body, verifier, known, key)
	})
	h := sha256.Sum256([]byte(verifier.Name()))
	http.HandleFunc("/"+hex.EncodeToString(h[:])+"/checkpoint", func(w http.ResponseWriter, r *http.Request) {
		known.Lock()
		defer known.Unlock()
		if known.note == nil {
			http.NotFound(w, r)
			return
		}
		w.Write(known.note)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	go http.Serve(listener, nil)
	fmt.Println(vkey(witnessName, 4, key.Public().(ed25519.PublicKey)))
	fmt.Printf("http://%s/\n", listener.Addr())
	io.Copy(io.Discard, os.Stdin)
}

func add(w http.ResponseWriter, body []byte, verifier note.Verifier, known *state, key ed25519.PrivateKey) {
	head, signed, ok := bytes.Cut(body, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	old, err := strconv.ParseInt(strings.TrimPrefix(lines[0], "old "), 10, 64)
	if !ok || err != nil {
		http.Error(w, "not a request", 400)
		return
	}
	opened, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		http.Error(w, err.Error(), 403)
		return
	}
	// A checkpoint is Go's tree note but for its first line.
	tree, err := tlog.ParseTree([]byte(strings.Replace(opened.Text, verifier.Name(), treeLine, 1)))
	if err != nil || old > tree.N {
		http.Error(w, "not a checkpoint", 400)
		return
	}
	if old != known.size {
		w.Header().Set("Content-Type", "text/x.tlog.size")
		w.WriteHeader(409)
		fmt.Fprintf(w, "%d\n", known.size)
		return
	}
	var proof tlog.TreeProof
	for _, line := range lines[1:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			http.Error(w, "not a hash", 400)
			return
		}
		proof = append(proof, hash)
	}
	if old > 0 {
		if err := tlog.CheckTree(proof, tree.N, tree.Hash, old, known.root); err != nil {
			http.Error(w, err.Error(), 422)
			return
		}
	}
	t := uint64(time.Now().Unix())
	public := key.Public().(ed25519.PublicKey)
	sig := binary.BigEndian.AppendUint32(nil, keyID(witnessName, 4, public))
	sig = binary.BigEndian.AppendUint64(sig, t)
	sig = append(sig, ed25519.Sign(key, message(t, []byte(opened.Text)))...)
	line := fmt.Sprintf("— %s %s\n", witnessName, base64.StdEncoding.EncodeToString(sig))
	known.size, known.root, known.note = tree.N, tree.Hash, append(signed, line...)
	io.WriteString(w, line)
}

func check(err error) {
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "witness:", err)
	os.Exit(1)
}
