"""Pictures as text: what rules read and derive, what a pattern waits for, when matches were.

From data to a graph (`rule_graph`, `automaton`), from a graph to places (`layout`), from these to text (`graph_svg`,
`graphviz`); timelines go straight to SVG. All of it is pure and always gives the same text for the same data. Imported
when something is drawn, not before.
"""
