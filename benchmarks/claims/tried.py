"""What was tried for a claim that is not reached, and what is left, for the page.

"By a script" is of no command in the tree, and to be believed so far.
"""

TRIED = {
    "nano": """Tried:

- Another code, a cast, a GPU's hours: its first form had none of them and drew no faces
  ([decisions/0006](decisions/0006-nano.md)); the claim was measured of the second alone.
- `sft` and `qt` after `ct`, in batches of 8: the validation loss went from 0.3985 to 0.4003.
- Other scales of guidance, on 78 prompts of another seed, read by AniCaption: 46% of the
  demanded tags at its own (3 and 2), 52% at 3 and 4, 43% at 3 and 6 (by a script).
- Preference: 51.1% before, 51.3% after it, by this judge.

Left: more drawings and more steps. Its error on clips that it was trained on is 7 to 12%
below that on others, and elements and renderings are learnt least.
""",
    "judge": """Tried ([judge.md](judge.md) has all of it):

- 8,192 clips, seven in ten deformed; several directives a clip; heads first: 0.60 -> 0.77
  on a trial where some defects could not be seen.
- Scores of defects that can be seen, and 500 steps in place of 200: nothing on the trial as
  it is now.
- Teaching the tokens where a defect lies: nothing (by a script, on another trial).
- The generator's own error in place of a judge, at five noise levels, on 96 drawings of
  another trial (by a script): of one drawing with and without a defect it tells which in
  69 to 75% of the pairs, but drawings differ by more than defects do, so that the AUC is
  0.56 to 0.61; of two directives it prefers the right one in 52 to 78%, AUC 0.49 to 0.60.

Left: three or four times the clips; the generator's error as one of the features that the
heads see.
""",
    "preference": """Tried:

- An earlier judge (AUC 0.60 on the trial as it was then), whose generator is the one that
  ships; its defects were never counted.
- This judge, of several directives, heads first, and defects that can be seen. Its score of
  the samples rises (4.55 to 4.69, change.json of the run); it hardly knows defects, so that
  there is little for it to remove.
- An examiner that learns longer, and by Muon, from nothing: its validation loss comes to
  0.79, the judge's to 0.71, and it tells the trial apart too badly for its count to say
  anything.

Left: a judge that knows defects, and an examiner that does.
""",
    "not_still": """Two judges were tried, the other one an earlier: after it m(x) was 1.141
[1.076, 1.206] of that before. Candidates that move less than 0.8 as much as the loser never
win (`candidates.keep_deformation`), so that preference does not still; nothing keeps it from
the opposite.
""",
    "dual_path": """Tried:

- Both scales of guidance that the table has.
- Arms of twice the steps on twice the clips, those of the table. Of half as many
  (validation loss 0.839, now 0.789) it was 3.0 points [-1.6, 7.6] over tags as text, 1.8
  over cross-attention, 6.6 [2.0, 11.9] over AdaLN: to have both paths helped against AdaLN
  alone while it had learnt little, and no more.
- These arms at w_text 3 and w_tag 6, tags as text at 6: 31.0% for both paths, 29.9% for
  cross-attention, 28.3% for AdaLN, 28.3% for tags as text, of which both are 2.7 points
  ahead [-2.8, 8.2] (by a script).

Found: at this size, in a world whose sentences are short, tags as text are read nearly as
well as tags on paths of their own, but for tags that the text does not name (55% and 47%).
Left: arms of `nano`'s size, a GPU's quarter of an hour each. At this size the probe reads
two fifths of what it reads of real clips, and half of the fields at chance
([decisions/0004](decisions/0004-what-bounds-pico.md)).
""",
    "not_diluted": """Tried:

- Three orders and scales of guidance, which the table has.
- Arms of twice the steps on twice the clips, those of the table. Of half as many the tag won
  in 61 to 62% of the prompts, and in 63% of those of tags as text.
- These arms at w_text = w_tag = 6: 67.8% [56.0, 79.6] of the 30% that are decided. Tag first
  at 3 and 3: 59.0% (by a script).

Found: on paths of its own a tag does not win more often than as text, as far as prompts
tell of which the probe decides three in ten. Left: arms of `nano`'s size, of
which the probe could decide more prompts.
""",
    "dual_guidance": """Tried: arms of half the steps on half the clips, whose accuracy rose
by 0.8 points [-1.6, 3.0] an octave of w_tag, up to 4, and fell after. Those of the table
have learnt more of what their tags mean, and it rises up to 4 or 6.
""",
    "curriculum": """Tried:

- Three orders of training from one start, which the table has.
- The same on clips of `bending`, seven in ten of which are deformed, at four times the rate
  (6e-3): 10.4% of the deformations are read, of `uniform` 8.3%, of `hardest_first` 6.3%, 12.5%
  before (by a script): 2.1 points [-6.3, 10.4] ahead.
- Those arms at w_text 3 and w_tag 6: 13.5%, 11.5% and 13.0%, 5.2% before (by a script): 0.5
  points ahead of the better of the others.

Found: all of it is below what chance would read (20%), as `pico`'s samples show no
deformation whatever it was taught last; nothing collapses either. Left: arms of `nano`'s
size, whose samples show deformations.
""",
}
