// Package githttp serves fetches of git over HTTP from a repository of package
// gitrepo: what "git clone" and "git fetch" ask, in the versions 0, 1 and 2 of
// git's protocol, and nothing that changes a repository.
//
// Each request sees one view of the references: HEAD, all branches and all tags
// as they were when it began, and no others. What leads to none of those is not
// given to anybody, even by its name. Whatever a view leads to stays readable
// beside writers and maintenance, because objects never change and package
// gitrepo finds them wherever they are moved to.
//
// Of an answer no more is held than the names of its objects, about 45 bytes
// each, a few trees, up to five objects, and what a few packets have room for. Versions of a folder
// or a file are sent as deltas on each other where that is smaller; a pack needs
// nothing from the client unless it allowed that (thin packs).
//
// Shallow fetches are served by depth, date and excluded references; of the
// filters for partial clones those without contents (blob:none, blob:limit=0)
// and without trees (tree:0). What is not served is not announced either.
//
// The package decides about nobody's rights but asks again while a transfer
// runs, never writes to a repository, runs no program, and panics at no input.
package githttp
