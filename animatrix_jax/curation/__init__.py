"""From a folder of videos to a TFDS dataset that training reads: `animatrix prepare`."""
