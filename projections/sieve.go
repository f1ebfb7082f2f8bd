package projections

// The Head's memory of which facts there are, while a projection is built from nothing. Building asks of nearly every
// event whether its fact was there before, and nearly always it was not: that "no" is what costs most, because the
// database has to look everywhere for it.

import (
	"hash/maphash"

	"github.com/permledger/permledger/domain"
)

const (
	sieveBlockBits = 18 // log2 of the number of blocks, of 64 bytes each: 16 MiB
	sieveProbes    = 6  // bits of a block that a fact sets, each chosen by 9 bits of its hash
)

// A sieve is a Bloom filter of facts, each within one block, so that asking costs one cache miss. It never says of a
// fact that was added that it is not there; of others it errs for one in a hundred at ten million facts, and ever more
// often beyond, which costs time and nothing else. Its size is fixed, however long the history.
type sieve struct {
	seed   maphash.Seed
	blocks [][8]uint64
}

func newSieve() *sieve {
	return &sieve{seed: maphash.MakeSeed(), blocks: make([][8]uint64, 1<<sieveBlockBits)}
}

func (s *sieve) add(f domain.Fact) {
	block, h := s.place(f)
	for range sieveProbes {
		block[h>>6&7] |= 1 << (h & 63)
		h >>= 9
	}
}

// mayHave is false only for a fact that was never added.
func (s *sieve) mayHave(f domain.Fact) bool {
	block, h := s.place(f)
	for range sieveProbes {
		if block[h>>6&7]&(1<<(h&63)) == 0 {
			return false
		}
		h >>= 9
	}
	return true
}

// place gives the fact's block and a hash for the bits in it: the 6 times 9 lowest bits of it, and so none of those that
// chose the block but a few.
func (s *sieve) place(f domain.Fact) (*[8]uint64, uint64) {
	h := maphash.Comparable(s.seed, f)
	return &s.blocks[h>>(64-sieveBlockBits)], h
}
