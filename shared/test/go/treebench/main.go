// How long Go's own tlog takes over the trees that scripts/bench-log.mjs builds, on the same leaves:
//
//	treebench root N       leaves of 64 bytes, their number in the first eight; prints JSON
//	treebench proof N DIR  inclusion proofs from tile files, each tile authenticated
//
// CPU time is the process's own, threads of the garbage collector included.
package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

type storage []tlog.Hash

func (s storage) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		out[i] = s[index]
	}
	return out, nil
}

func cpu() time.Duration {
	var u syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func leaf(i int64) []byte {
	data := make([]byte, 64)
	binary.BigEndian.PutUint64(data, uint64(i))
	return data
}

func main() {
	n, err := strconv.ParseInt(os.Args[2], 10, 64)
	check(err)
	answer := map[string]any{}
	if os.Args[1] == "root" {
		start, before := time.Now(), cpu()
		s := make(storage, 0, 2*n)
		for i := int64(0); i < n; i++ {
			hashes, err := tlog.StoredHashes(i, leaf(i), s)
			check(err)
			s = append(s, hashes...)
		}
		root, err := tlog.TreeHash(n, s)
		check(err)
		answer["root"] = fmt.Sprintf("%x", root[:])
		answer["wallMs"] = float64(time.Since(start).Microseconds()) / 1000
		answer["cpuMs"] = float64((cpu() - before).Microseconds()) / 1000
	} else {
		answer["proofMs"] = proofs(n, os.Args[3])
	}
	check(json.NewEncoder(os.Stdout).Encode(answer))
}

type tiles struct{ dir string }

func (t tiles) Height() int { return height }

func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, tile := range wanted {
		path := strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/", height))
		data, err := os.ReadFile(filepath.Join(t.dir, "tile", path))
		if err != nil {
			return nil, err
		}
		out = append(out, data)
	}
	return out, nil
}

// The median time of a proof from tile files, over indices spread across the log.
func proofs(n int64, dir string) float64 {
	note, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	check(err)
	lines := strings.SplitN(string(note), "\n", 4)
	tree, err := tlog.ParseTree([]byte("go.sum database tree\n" + lines[1] + "\n" + lines[2] + "\n"))
	check(err)
	var times []float64
	for i := int64(0); i < 201; i++ {
		start := time.Now()
		reader := tlog.TileHashReader(tree, tiles{dir})
		_, err := tlog.ProveRecord(n, i*4801%n, reader)
		check(err)
		times = append(times, float64(time.Since(start).Nanoseconds())/1e6)
	}
	for i := range times {
		for j := i + 1; j < len(times); j++ {
			if times[j] < times[i] {
				times[i], times[j] = times[j], times[i]
			}
		}
	}
	return times[len(times)/2]
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "treebench:", err)
		os.Exit(1)
	}
}
