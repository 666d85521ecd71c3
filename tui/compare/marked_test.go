package compare

import "testing"

func TestMarkedFindsWhatMergeLeaves(t *testing.T) {
	for _, ending := range []string{"\n", "\r\n"} {
		merged, clean := Merge("a"+ending+"b"+ending, "a"+ending+"mine"+ending, "a"+ending+"theirs"+ending)
		if clean || !Marked(merged) {
			t.Errorf("%q is not marked", merged)
		}
	}
	for text, want := range map[string]bool{
		"<<<<<<< mine": true, "x\n||||||| base\ny": true, ">>>>>>> theirs\r\n": true,
		"Title\n=======\n": false, "": false, " <<<<<<< mine": false, "<<<<<<< mine and more": false,
	} {
		if Marked(text) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}
