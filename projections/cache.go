package projections

// The Head's memory of facts: bounded, and never of anything that is not committed.

import "github.com/permledger/permledger/domain"

// generationSize bounds each of the cache's two generations, in facts: some 20 MB together when full of usual facts.
const generationSize = 1 << 15

// cache remembers the newest version of facts, the zero Version of those that never were. It has two generations: what
// is used goes to the young one; when that is full, it becomes the old one and the old one is forgotten. That keeps what
// is used often, in constant memory and without a list to maintain at every read, as a strict least-recently-used would.
type cache struct {
	young, old map[domain.Fact]domain.Version
}

func (c *cache) get(f domain.Fact) (domain.Version, bool) {
	v, ok := c.young[f]
	if ok {
		return v, true
	}
	if v, ok = c.old[f]; ok {
		c.put(f, v)
	}
	return v, ok
}

// put replaces what is remembered of f: the young generation is asked first.
func (c *cache) put(f domain.Fact, v domain.Version) {
	if len(c.young) >= generationSize {
		c.old, c.young = c.young, c.old
		clear(c.young)
	}
	if c.young == nil {
		c.young = make(map[domain.Fact]domain.Version)
	}
	c.young[f] = v
}

func (c *cache) forget() { *c = cache{} }
