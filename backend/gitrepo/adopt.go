package gitrepo

import "context"

// adopt writes the packs that vanished to the folder again, as one.
func (p *packStore) adopt(ctx context.Context, h *hold) error {
	orphans := *p.orphans.Load()
	if len(orphans) == 0 {
		return nil
	}
	indexPath, err := p.mergeFor(ctx, orphans, h)
	if err != nil {
		return err
	}
	return p.attach(indexPath)
}

// forget closes the packs that vanished: all that matters of them is stored.
func (p *packStore) forget() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	orphans := *p.orphans.Load()
	p.orphans.Store(&[]*pack{})
	return closeAll(orphans)
}
