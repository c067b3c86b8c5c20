"""Cel World: anime clips drawn procedurally from the taxonomy, with known truth.

Its files in the order in which a clip is made, the one to read first before a colon:

    tags     tagging: odds, rarities, shows, unasked
    spec     spec: casting, defects
    words    narrative
    motion   staging: actions, keyposes, timing, idioms, deform, rig, camera
    figure   figure: face, hair, clothes, garments, spoiling; look, shapes
             coiffures and wardrobe are those of the held-out cast
    set      sets: backgrounds, scenery, streets, exteriors, interiors, patterns
             elsewhere has those of held-out worlds
    effects  overlays: effects, elementals, blasts, energy, props, manpu; shot
    frames   render: rostrum, painter, finish; page
    truth    truth: flow; showing
    clips    world

Every number comes from ``random``, every colour from ``palettes``, every pen from
``ink``. ``sheet``, ``strips`` and ``coverage`` show what there is.
"""
