from comparisons.cli import main

main()
