// Package ui holds what every screen is drawn with: the theme, the glyphs, the
// formats of numbers and sentences, the key bindings, and plain widgets (pane,
// table, sparkline, editor).
//
// Widgets draw into lines of an exact width, measured in terminal cells, and
// never wrap or overflow. They hold no clock and do no I/O. Text from outside
// enters only as termsafe.Text. Styles are made here and nowhere else.
package ui
