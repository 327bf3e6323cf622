import { View } from '../parts/view.tsx'

export const NotFound = () => (
  <View title="Nothing here">
    <p>
      There is no such page. <a href="#/artifacts">To the artifacts</a>
    </p>
  </View>
)
