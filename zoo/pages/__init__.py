"""What people read about presets: cards, tables, and the tests of significance behind them."""
