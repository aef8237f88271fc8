"""What a student's training needs beyond MMDetection."""
