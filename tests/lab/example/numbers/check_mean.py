import unittest

from mean import mean


class Mean(unittest.TestCase):
    def test_of_some(self):
        self.assertAlmostEqual(mean([1, 2, 6]), 3)  # noqa: PT009


if __name__ == "__main__":
    unittest.main()
