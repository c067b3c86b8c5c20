"""From noise to clips: solvers, dual guidance, conditioning on frames."""
