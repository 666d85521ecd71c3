package govcd

import "context"

// mend writes the contents of a batch again that the repository has only in a
// damaged copy: to a commit they are unchanged files. It is done where damage is
// known, so that a client heals what it could not read by writing it once more.
func (r *repo) mend(ctx context.Context, items []item) {
	if len(r.git.Damage()) == 0 {
		return
	}
	var lost [][]byte
	for i := range items {
		it := &items[i]
		if it.failed != nil || it.delete {
			continue
		}
		if is, err := r.git.Lost(blobHash(it.data)); err == nil && is {
			lost = append(lost, it.data)
		}
	}
	if len(lost) == 0 {
		return
	}
	if err := r.git.Rewrite(ctx, lost); err != nil {
		r.service.log.Error("damaged files could not be written again", "repository", r.id, "files", len(lost), "error", err)
	}
}
